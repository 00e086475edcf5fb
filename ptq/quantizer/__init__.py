"""Ranges, grids and integer codes; a quantized network as data."""
