"""A quantized network as data, and how it is made, kept and run.

network = quantize(model, images)
print(network)
network.save("network.ptq")
"""

from ptq.quantized.making import quantize
from ptq.quantized.network import Layer, QuantizedNetwork

__all__ = ["Layer", "QuantizedNetwork", "quantize"]
