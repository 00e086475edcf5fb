"""The files of a deployment, each loaded and asked again after writing."""

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from torch import Tensor

from ptq.deploy import times
from ptq.deploy.card import CARDS, Check
from ptq.deploy.choice import REPORT
from ptq.deploy.image_files import HIDDEN
from ptq.deploy.loading import EXAMPLE, FLOAT_ONNX, ONNX, SAVED
from ptq.deploy.outputs import asked, unsealed
from ptq.engines import onnx_file
from ptq.engines.onnx_module import OnnxModule
from ptq.evidence.checks import InputError
from ptq.graph import UnsupportedError
from ptq.quantizer.network import QuantizedNetwork

FILES = {"onnx": ONNX, "packed": SAVED}
# Beside them: true classes, what each network puts out, and what is kept of
# an interrupted call.
LABELS, PARTS, TRIALS = "labels.npy", "parts", "trials"
OUTPUTS = {name: f"{name.lower()}.npy" for name in (times.FLOAT, times.INT8)}
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


def refuse_overwriting(
    out: str | Path, files: Iterable[str], images: Iterable[str] = ()
) -> None:
    """InputError where a deployment into ``out`` would cost a user's file.

    That is one of ``files`` and ``images``, each a file or FILE:NAME, also
    behind a link, or a file that is there though no earlier call filled the
    folder. Nor may ``out`` lie in a folder of images: the next call would
    read it. Whoever calls it has not begun, so that nothing is lost.
    """
    out, taken = Path(out), {}
    for given in filter(None, images):
        _refuse_inside(out, given)
    for given in filter(None, [*files, *images]):
        for name in (given, given.rpartition(":")[0] or given):
            taken[os.path.realpath(name)] = name
    others = [*FILES.values(), *OUTPUTS.values(), FLOAT_ONNX, EXAMPLE]
    places = [out / name for name in (*CARDS, REPORT, LABELS, *others)]
    places += sorted((out / PARTS).glob("*.npy"))
    foreign = not _is_filled(out)
    for place in places:
        if name := taken.get(os.path.realpath(place)):
            raise InputError(
                f"{place}: would be written or removed, and is the input "
                f"{name}; give another --out"
            )
        if foreign and os.path.lexists(place):
            raise InputError(
                f"{place}: would be overwritten or removed, and is of no "
                "earlier run of this command; give another --out"
            )


def _refuse_inside(out: Path, images: str) -> None:
    inner, outer = (Path(os.path.realpath(one)) for one in (out, images))
    if not outer.is_dir() or not inner.is_relative_to(outer):
        return
    parts = inner.relative_to(outer).parts
    if not any(part.startswith(HIDDEN) for part in parts):
        raise InputError(
            f"{out}: lies in the images {images}, and the next call would "
            "read it as some of them; give an --out outside of it"
        )


def _is_filled(out: Path) -> bool:
    """Whether an earlier call left a card or anything it keeps in ``out``."""
    kept = [*(out / PARTS).glob("*.npy"), *(out / TRIALS).glob("*.json")]
    if any(unsealed(path) is not None for path in kept):
        return True
    try:
        card = json.loads((out / CARDS[0]).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(card, dict) and {"recipe", "judgement"} <= card.keys()


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
