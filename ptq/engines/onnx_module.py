"""A network of an ONNX file as a module, as timers and predictions ask it."""

import torch
from torch import Tensor, nn

from ptq.engines import onnx_runtime


class OnnxModule(nn.Module):
    """The network of a file's ``content``, on ``threads`` threads.

    Called with float32 images (N, ...), normalized, it returns logits,
    float32 (N, C). A deep copy loads the content anew, into other memory.
    """

    keeps_nothing = True

    def __init__(self, content: bytes, threads: int = 0):
        super().__init__()
        self.content, self.threads = content, threads
        self._session = onnx_runtime.session(content, threads)

    def __deepcopy__(self, memo):
        return OnnxModule(self.content, self.threads)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, float32 (N, C), of float32 images (N, ...)."""
        given = {"images": images.contiguous().numpy()}
        return torch.from_numpy(self._session.run(["logits"], given)[0])
