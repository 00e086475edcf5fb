"""Labelled images: verified, split, drawn, normalized."""
