"""One file a runtime that executes a quantized network."""
