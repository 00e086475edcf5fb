"""Ranges, grids and integer codes."""
