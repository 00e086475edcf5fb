"""The files of a deployment, each loaded and asked again after writing."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from torch import Tensor

from ptq.deploy.card import Check
from ptq.deploy.loading import ONNX, SAVED
from ptq.deploy.outputs import asked
from ptq.engines import onnx_file
from ptq.engines.onnx_module import OnnxModule
from ptq.evidence.checks import InputError
from ptq.graph import UnsupportedError
from ptq.quantizer.network import QuantizedNetwork

FILES = {"onnx": ONNX, "packed": SAVED}
# Images that a written file is asked again.
IMAGES = 256


def chosen(export: str | Iterable[str]) -> list[str]:
    """Kinds of files, of ``FILES``, each once; InputError for others."""
    given = export.split(",") if isinstance(export, str) else export
    kinds = list(dict.fromkeys(str(kind).strip() for kind in given))
    if not kinds or set(kinds) - FILES.keys():
        raise InputError(
            f"export={','.join(kinds)}: expected one or several of "
            f"{', '.join(FILES)}"
        )
    return kinds


def write(
    network: QuantizedNetwork, kinds: list[str], out: Path
) -> dict[str, int]:
    """Bytes of each file that was written into ``out``, by its name.

    What an earlier call left of the other kinds is removed, as it may be of
    another network. Raises OSError where one cannot be written,
    UnsupportedError where it cannot hold this network.
    """
    for kind in FILES.keys() - kinds:
        (out / FILES[kind]).unlink(missing_ok=True)
    savers = {"onnx": network.export_onnx, "packed": network.save}
    return {FILES[kind]: savers[kind](out / FILES[kind]) for kind in kinds}


def check(
    network: QuantizedNetwork,
    kinds: list[str],
    out: Path,
    images: Tensor,
    ran: np.ndarray,
) -> list[Check]:
    """Each file of ``out``, loaded and run, against what was judged.

    ``images`` is (N, ...), as the network takes them, ``ran`` the judged
    outputs for them, float32 (N, C). Raises UnsupportedError where a file
    predicts otherwise, FileError where it cannot be read.
    """
    images, checks = images[:IMAGES], []
    expected = ran[: len(images)].argmax(1)
    for kind in kinds:
        module = OnnxModule(CONTENT[kind](out / FILES[kind]))
        found = asked(
            lambda x, run=module: run(network.normalized(x)), images
        )
        same = int((found.argmax(1).numpy() == expected).sum())
        told = (
            f"loaded again, it predicts in ONNX Runtime what was judged for "
            f"{same} of {len(images)} images"
        )
        if same < len(images):
            raise UnsupportedError(f"{FILES[kind]}: {told}")
        checks.append(Check(FILES[kind], True, told))
    return checks


def _of_packed(path: Path) -> bytes:
    loaded = QuantizedNetwork.load(path)
    return onnx_file.model(loaded).SerializeToString()


# A file as ONNX Runtime takes it.
CONTENT: dict[str, Callable[[Path], bytes]] = {
    "onnx": Path.read_bytes,
    "packed": _of_packed,
}
