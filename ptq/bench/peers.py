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

from ptq.bench.competitors import INTEGER, Competitor, Run, session
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
def _quietly() -> Iterator[None]:
    """A flow runs without a word.

    Raises UnsupportedError for whatever others' tools raise.
    """
    silent = io.StringIO()
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(silent),
        contextlib.redirect_stderr(silent),
    ):
        warnings.simplefilter("ignore")  # of torch, on its older exporter
        try:
            yield
        except Exception as error:
            raise UnsupportedError(
                f"its flow ended in {type(error).__name__}: "
                f"{first_line(error)}"
            ) from error


@contextlib.contextmanager
def _exported(given: Inputs) -> Iterator[Path]:
    """The float network's ONNX file, while its flow runs ``_quietly``."""
    with tempfile.TemporaryDirectory() as folder, _quietly():
        file = Path(folder, "given.onnx")
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

    from ptq.engines import openvino_models as models

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
        lambda threads: models.Sized(model, models.settings(threads, None)),
        INTEGER,
        size,
    )


def pt2e(given: Inputs) -> Competitor:
    """PT2E of torchao, compiled by Inductor for x86, with their defaults.

    It is compiled for each number of images that is a power of two. Raises
    UnsupportedError where torch cannot export or compile the network, as
    without a compiler of C++; ImportError where torchao is missing.
    """
    from torchao.quantization.pt2e import quantize_pt2e
    from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer

    quantizer = x86_inductor_quantizer.X86InductorQuantizer()
    quantizer.set_global(
        x86_inductor_quantizer.get_default_x86_inductor_quantization_config()
    )
    batches = given.calibration.split(CALIBRATION_BATCH)
    with _quietly(), torch.no_grad():
        shapes = ({0: torch.export.Dim("n", min=1)},)
        exported = torch.export.export(
            *(_OnPixels(given).eval(), batches[:1]), dynamic_shapes=shapes
        )
        prepared = quantize_pt2e.prepare_pt2e(exported.module(), quantizer)
        for batch in batches:
            prepared(batch)
        made = quantize_pt2e.convert_pt2e(prepared)
        _compiled(made, 1)(given.calibration[:1])
    saved = io.BytesIO()
    torch.save(made.state_dict(), saved)
    return Competitor(
        lambda threads: _compiled(made, threads), INTEGER, saved.tell()
    )


def _compiled(made: nn.Module, threads: int) -> Run:
    """A module, compiled for a number of images when it first gets it."""
    from torch._inductor import config

    run, known = torch.compile(made, dynamic=False), set()

    # Weights are packed where they are frozen, and no image is of inference.
    @torch.inference_mode(False)
    @torch.no_grad()
    def padded(images: Tensor) -> Tensor:
        size = 1 << (len(images) - 1).bit_length()
        if size > len(images):
            more = images[:1].expand(size - len(images), *images.shape[1:])
            return padded(torch.cat([images, more]))[: len(images)]
        if size in known:
            return run(images)
        settings = {"freezing": True, "cpp.threads": threads}
        with _quietly(), config.patch(settings):
            made_now = run(images)
        known.add(size)
        return made_now

    return padded


PEERS = {
    f"{INTEGER}, ONNX Runtime's flow": onnx_runtime,
    f"{INTEGER}, NNCF into OpenVINO": nncf,
    f"{INTEGER}, PT2E into Inductor": pt2e,
}
