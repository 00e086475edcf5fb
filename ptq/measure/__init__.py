"""Predictions, time, bytes, machine, and error of each layer."""
