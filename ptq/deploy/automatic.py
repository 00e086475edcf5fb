"""Which way to quantize a network: tried in order, decided by evidence.

The decision flow; each step ends it where a loss of the margin is excluded
on the images that decide, and the file is small enough:

1. 8 bits: min-max ranges; ranges of least error; matched means; the one and
   the two layers in float that add the most error.
2. Fewer bits, where a smaller file is asked: 4 inside, where that is small
   enough, then the bits by layer of least error in a file of that size; each
   rounded to nearest, by GPTQ, and by descent.
3. Else, where 8 bits hold it, the smallest file found to hold the margin, by
   a few halvings between them.

Activations keep 8 bits: fewer make no file smaller, and nothing runs faster.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from torch import nn

from ptq import paths
from ptq.deploy import inputs, remarks, trials
from ptq.deploy.choice import BITS, REPORT, Choice, worded
from ptq.deploy.exports import TRIALS
from ptq.deploy.file_sizes import Files
from ptq.deploy.inputs import Inputs
from ptq.deploy.trials import Trials
from ptq.evidence import checks
from ptq.evidence.thresholds import MARGIN
from ptq.graph import UnsupportedError
from ptq.measure import layer_errors
from ptq.methods import bit_allocation
from ptq.quantizer import quantizing
from ptq.running import locks

INSIDE, HALVINGS = 4, 5
ROUNDINGS = ("nearest", "gptq", "descent")
# Layers in float that are tried, and images that find them.
IN_FLOAT, IMAGES = 2, 8


def choose(
    network: nn.Module,
    calibration_images,
    images,
    labels=None,
    *,
    out: str | Path,
    normalization=None,
    margin: float = MARGIN,
    target_bytes: int | None = None,
    keep_float: Sequence[str] = (),
    told: str = "",
    notes: Iterable[str] = (),
    tell: Callable[[str], None] = lambda text: None,
) -> Choice:
    """The best way to quantize ``network`` that the decision flow finds.

    ``images`` decide, with ``labels`` (N,); without, by how many predictions
    change; none of them may judge later. All are as of ``deploying.deploy``,
    which takes the choice and its best recipe. ``told`` says how the images
    were drawn, ``notes`` what a refusal tells besides; ``target_bytes`` is
    for the packed file. Trials and their report are kept in ``out``: the
    same call continues. Raises InputError where the images cannot decide,
    and what ``deploy`` raises.
    """
    margin = checks.between(margin, "margin")
    if target_bytes is not None:
        checks.count(target_bytes, "target_bytes", 1)
    given = inputs.checked(
        *(network, calibration_images, images, labels, normalization, None)
    )
    trials.check_number(len(given.test), labels is not None, margin)
    told = f"{given.described()['judged on']}{told}"
    told += "; changed predictions decide" * (labels is None)
    choice, out = Choice([], told, margin, target_bytes), Path(out)
    # ``deploy`` makes the chosen network again, and tells of it then.
    with locks.folder(out, "folder"), remarks.collected(notes):
        _Flow(given, choice, list(keep_float), out / TRIALS, tell).run()
        paths.write_json(out / REPORT, choice.report())
    return choice


class _Flow:
    """The decision flow: makes trials, which ``choice`` then is of.

    The layers ``kept`` are in float in all of them; ``folder`` keeps them.
    """

    def __init__(
        self,
        given: Inputs,
        choice: Choice,
        kept: list[str],
        folder: Path,
        tell: Callable[[str], None],
    ):
        tell("traces, folds, calibrates and quantizes")
        self.given, self.choice = given, choice
        self.first = {"keep_float": kept} if kept else {}
        self.base = given.quantized(**self.first)
        self.bench = Trials(given, self.base, choice, folder, tell)

    def run(self) -> None:
        """Make trials until one will do, or there are no more."""
        self.eight_bits()
        best = self.choice.best
        if not self.choice.small(best):
            recipe = dict(best.recipe)
            recipe.pop("rounding", None)
            self.fewer_bits(recipe, best.bytes)

    def eight_bits(self) -> None:
        """Other ranges, matched means, layers in float."""
        first = self.first
        if self.holds(first) or self.holds(first | {"observer": "mse"}):
            return
        if self.holds(self.choice.best.recipe | {"rounding": "means"}):
            return
        images = self.given.calibration[:IMAGES]
        worst = layer_errors.noisiest(self.base, images)
        for count in range(1, IN_FLOAT + 1):
            kept = [*first.get("keep_float", []), *worst[:count]]
            if self.holds(self.choice.best.recipe | {"keep_float": kept}):
                return

    def fewer_bits(self, recipe: dict, size: int) -> None:
        """Smaller files than that of ``recipe`` at 8 bits, ``size`` bytes."""
        self.bench.tell("finds bits for smaller files")
        narrow = {
            bits: self.given.quantized("nearest", weight_bits=bits, **recipe)
            for bits in bit_allocation.BITS
        }
        files, target = Files(narrow, size), self.choice.target_bytes
        inner = quantizing.inner_bits(narrow[BITS], INSIDE, BITS)[
            "weight_bits"
        ]
        inside, least = files.all(BITS) | inner, files.within(target)
        plans = [inside] if files.size(inside) <= target else []
        for bits in [*plans, *[least] * (least not in plans)]:
            for rounding in ROUNDINGS:
                way = {"weight_bits": bits, "rounding": rounding}
                if self.holds(recipe | way):
                    return
        if self.choice.best.holds:
            best_rounded = recipe | {"rounding": ROUNDINGS[-1]}
            self.bisect(best_rounded, files, files.size(least), size)

    def bisect(self, recipe: dict, files: Files, low, high) -> None:
        """Between files of ``low`` bytes that do not hold, and ``high``."""
        for _ in range(HALVINGS):
            middle = (low + high) // 2
            bits = files.within(middle)
            if self.holds(recipe | {"weight_bits": bits}):
                high = middle
            else:
                low = middle

    def holds(self, recipe: dict) -> bool:
        """Whether the trial of this recipe excludes a loss of the margin."""
        for one in self.choice.trials:
            if one.recipe == recipe:
                return one.holds
        try:
            return self.bench.made(recipe).holds
        except UnsupportedError as error:
            if not self.choice.trials:
                raise
            self.choice.refused[", ".join(worded(recipe))] = str(error)
            return False
