"""Methods of quantization, a file each; none knows an engine."""
