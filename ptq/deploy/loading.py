"""How to load the file of a deployment: five lines of Python, or fewer."""

import numpy as np
import torch
from torch import Tensor

from ptq.engines import onnx_runtime
from ptq.quantizer.network import QuantizedNetwork

# What a deployment writes: both networks in ONNX, the integer one packed,
# and a few images.
ONNX, FLOAT_ONNX = "network.onnx", "float.onnx"
SAVED, EXAMPLE = "network.ptq", "example.npy"
CODE = """\
import numpy as np, onnxruntime as ort
options = ort.SessionOptions(){exact}
session = ort.InferenceSession("{file}", options, ["CPUExecutionProvider"])
images = {images}
classes = session.run(["logits"], {{"images": images}})[0].argmax(1)
"""
OF_SAVED = f"""\
import numpy as np, torch
from ptq.quantizer.network import QuantizedNetwork
network = QuantizedNetwork.load("{SAVED}")
classes = network(torch.from_numpy(np.load("{EXAMPLE}"))).argmax(1).numpy()
"""
# Else sums of two products saturate on x86 processors without VNNI.
EXACT = f'; options.add_session_config_entry("{onnx_runtime.PRECISE}", "1")'
PIXELS = (
    '((np.load("{file}") / 255 - {mean}) / {std}).astype(np.float32)'
    "  # pixels, (N, C, H, W)"
)
REAL = 'np.load("{file}")  # float32, normalized, (N, C, H, W)'


def lines(network: QuantizedNetwork, images: Tensor, export=("onnx",)) -> str:
    """Code that loads the ONNX file and asks it for the example's classes.

    Where ``export`` has none, it loads the packed file, and needs ``ptq``.

    The runtime is set as it was here, where it had to be for exact sums.
    ``images``, uint8 or float32 (N, C, H, W), are of the example's kind. It
    runs in the folder of the files, and needs numpy and onnxruntime only.
    """
    if "onnx" not in export:
        return OF_SAVED
    told = REAL
    if images.dtype == torch.uint8:
        mean, std = map(_array, network.normalization)
        told = PIXELS.replace("{mean}", mean).replace("{std}", std)
    told = told.replace("{file}", EXAMPLE)
    exact = "" if onnx_runtime.exact() else EXACT
    return CODE.format(exact=exact, file=ONNX, images=told)


def _array(values: tuple[float, ...]) -> str:
    """A number, or an array of one for each channel, as code."""
    told = [str(np.float32(value)) for value in values]
    if len(set(told)) == 1:
        return told[0]
    return f"np.array([[[{']], [['.join(told)}]]])"
