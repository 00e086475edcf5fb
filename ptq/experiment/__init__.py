"""Settings in, measured records out, and records compared."""
