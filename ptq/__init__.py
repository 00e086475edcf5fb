"""Post-training quantization of compact CNNs, measured with evidence.

Importing this package does no work; import the module you need.
"""

__version__ = "1.0.0"
