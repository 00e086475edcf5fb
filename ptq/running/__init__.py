"""Chapters and sweeps through papermill, here or on workers."""
