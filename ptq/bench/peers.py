"""Other tools' own ways to INT8, by their defaults: what ours is held to.

Each gets the float network with its normalization in front, as torch exports
it, and the calibration images; so its file takes uint8 images, too.
"""

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from ptq.bench.competitors import INTEGER, Competitor, session
from ptq.deploy.inputs import Inputs
from ptq.graph import UnsupportedError
from ptq.graph.checks import first_line

CALIBRATION_BATCH = 32


class _OnPixels(nn.Module):
    """A network behind its normalization: uint8 images to logits."""

    def __init__(self, given: Inputs):
        super().__init__()
        self.network = given.network
        around = (-1, *(1 for _ in given.calibration.shape[2:]))
        self.mean, self.std = (
            torch.tensor(v).reshape(around) for v in given.normalization
        )

    def forward(self, pixels: Tensor) -> Tensor:
        return self.network((pixels.float() / 255 - self.mean) / self.std)


@contextlib.contextmanager
def _exported(given: Inputs) -> Iterator[Path]:
    """The float network's ONNX file, while its flow runs without a word.

    Raises UnsupportedError for whatever others' tools raise.
    """
    silent = io.StringIO()
    with (
        tempfile.TemporaryDirectory() as folder,
        warnings.catch_warnings(),
        contextlib.redirect_stdout(silent),
        contextlib.redirect_stderr(silent),
    ):
        warnings.simplefilter("ignore")  # of torch, on its older exporter
        file = Path(folder, "given.onnx")
        try:
            torch.onnx.export(
                _OnPixels(given).eval(),
                (given.calibration[:1],),
                file,
                input_names=["images"],
                output_names=["logits"],
                dynamic_axes={"images": {0: "n"}},
                dynamo=False,
            )
            yield file
        except Exception as error:
            raise UnsupportedError(
                f"its flow ended in {type(error).__name__}: "
                f"{first_line(error)}"
            ) from error


def onnx_runtime(given: Inputs) -> Competitor:
    """ONNX Runtime's static quantization of ``given``, with its defaults.

    Raises UnsupportedError where torch cannot export the network, or
    ONNX Runtime not quantize it; ImportError where a package is missing.
    """
    from onnxruntime import quantization
    from onnxruntime.quantization import shape_inference

    batches = iter(given.calibration.split(CALIBRATION_BATCH))

    class Reader(quantization.CalibrationDataReader):
        def get_next(self):
            batch = next(batches, None)
            return None if batch is None else {"images": batch.numpy()}

    with _exported(given) as file:
        made = file.with_name("made.onnx")
        shape_inference.quant_pre_process(file, file)
        quantization.quantize_static(file, made, Reader())
        content = made.read_bytes()
    return Competitor(
        lambda threads: session(content, threads, entries={}),
        INTEGER,
        len(content),
    )


def nncf(given: Inputs) -> Competitor:
    """NNCF's post-training quantization, run by OpenVINO, with defaults.

    Raises UnsupportedError where torch cannot export the network, or NNCF
    not quantize it; ImportError where a package is missing.
    """
    import nncf
    import openvino

    from ptq.engines import openvino as engine

    logging.getLogger("nncf").setLevel(logging.ERROR)
    images = [one.numpy() for one in given.calibration.split(1)]
    with _exported(given) as file:
        read = openvino.Core().read_model(file)
        model = nncf.quantize(
            read, nncf.Dataset(images), subset_size=len(images)
        )
        saved = file.with_name("made.xml")
        openvino.save_model(model, saved)
        files = [saved, saved.with_suffix(".bin")]
        size = sum(file.stat().st_size for file in files)
    return Competitor(
        lambda threads: engine.Sized(model, engine.settings(threads, None)),
        INTEGER,
        size,
    )


PEERS = {
    f"{INTEGER}, ONNX Runtime's flow": onnx_runtime,
    f"{INTEGER}, NNCF into OpenVINO": nncf,
}
