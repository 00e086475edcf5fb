"""Models that OpenVINO compiles, with settings that are told, not guessed."""

import functools
from collections.abc import Callable

import openvino
import torch
from torch import Tensor

from ptq import input_checks

DTYPES = {"float32": "f32", "bfloat16": "bf16"}


class Sized:
    """A model, compiled for each number of images that is a power of two.

    Images and logits have memory of their own, which is written again by
    each call: else the runtime's Python takes longer than a small network.
    ``check`` sees each compiled model before it runs.
    """

    def __init__(
        self,
        model: openvino.Model,
        settings: dict,
        check: Callable[[openvino.CompiledModel], None] = lambda made: None,
    ):
        self._model, self._settings, self._check = model, settings, check
        self._made: dict[int, tuple] = {}

    def __call__(self, images: Tensor) -> Tensor:
        """Logits, float32 (N, classes), of images (N, ...)."""
        size = 1 << (len(images) - 1).bit_length()
        if size not in self._made:
            self._made[size] = self._compiled(size, images)
        request, taken, given = self._made[size]
        taken[: len(images)] = images
        request.start_async()
        request.wait()
        return given[: len(images)].clone()

    def _compiled(self, size: int, images: Tensor) -> tuple:
        """A request, and the memory of its images and of its logits."""
        made = compiled(
            self._model, self._settings, [size, *images.shape[1:]]
        )
        self._check(made)
        request, logits = made.create_infer_request(), made.output("logits")
        taken = torch.zeros(size, *images.shape[1:], dtype=images.dtype)
        given = torch.zeros(*logits.shape)
        for value, memory in ((made.input(), taken), (logits, given)):
            shared = openvino.Tensor(memory.numpy(), shared_memory=True)
            request.set_tensor(value, shared)
        return request, taken, given


def settings(threads: int, dtype: str | None = "float32") -> dict:
    """For so many threads (0: the runtime's choice) and real numbers.

    ``dtype`` is "float32" or "bfloat16"; None is the runtime's choice. Raises
    InputError where there are fewer cores than threads.
    """
    input_checks.check_threads(threads)
    chosen = {"NUM_STREAMS": 1}
    if dtype:
        chosen["INFERENCE_PRECISION_HINT"] = DTYPES[dtype]
    return chosen | ({"INFERENCE_NUM_THREADS": threads} if threads else {})


def compiled(
    model: bytes | openvino.Model,
    settings: dict,
    shape: list[int] | None = None,
) -> openvino.CompiledModel:
    """An ONNX file, or what was read of one, compiled on a processor.

    It is for images of a ``shape``; None: as the file says.
    """
    if type(model) is bytes:
        model = core().read_model(model)
    else:
        model = model.clone()
    if shape is not None:
        model.reshape({"images": shape})
    return core().compile_model(model, "CPU", settings)


@functools.cache
def core() -> openvino.Core:
    """The runtime itself, one for all."""
    return openvino.Core()
