"""The best of several trials of a network, and why."""

from collections import Counter
from dataclasses import asdict, dataclass, field

from ptq.evidence.intervals import Interval
from ptq.judge import wording
from ptq.methods.rounding_methods import ROUNDINGS

BITS = 8
REPORT = "trials.json"


@dataclass(frozen=True)
class Trial:
    """One way to quantize a network, and what it loses.

    ``recipe`` is what ``deploying.deploy`` takes for it; ``bits`` and
    ``method`` say it in words. ``bytes`` are those of the packed file.
    ``change`` of accuracy (a share, paired interval) and ``lost`` and
    ``gained`` images are None without labels; ``disagreement`` is the share
    of changed predictions. ``holds`` says whether a loss of the margin is
    excluded, ``cpu_seconds`` what it took to make.
    """

    recipe: dict
    bits: str
    method: str
    bytes: int
    change: Interval | None
    lost: int | None
    gained: int | None
    disagreement: Interval
    verdict: str
    holds: bool
    cpu_seconds: float

    @property
    def name(self) -> str:
        """Bits and method."""
        return f"{self.bits}, {self.method}"

    @property
    def floor(self) -> float:
        """The largest loss that is not excluded, as a change (a share)."""
        return self.change.low if self.change else -self.disagreement.high

    @property
    def found(self) -> str:
        """The change of accuracy, else the share of changed predictions."""
        if self.change:
            return wording.change(self.change)
        return f"{wording.share(self.disagreement)} of predictions change"


@dataclass(frozen=True)
class Choice:
    """The best of ``trials``, and why; made by ``automatic.choose``.

    ``margin`` is a share; ``images`` says on which the choice was made;
    ``target_bytes`` is None where none was asked; ``refused`` holds a
    sentence by the name of what could not be made.
    """

    trials: list[Trial]
    images: str
    margin: float
    target_bytes: int | None = None
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def best(self) -> Trial:
        """The first that holds the margin and is small enough.

        Else the smallest that holds the margin; else the one that may lose
        least.
        """
        held = [one for one in self.trials if one.holds]
        if not held:
            return max(self.trials, key=lambda one: one.floor)
        smallest = min(held, key=lambda one: one.bytes)
        return next(filter(self.small, held), smallest)

    @property
    def number(self) -> int:
        """The best one's place among the trials, from 1."""
        return 1 + next(
            place for place, one in enumerate(self.trials) if one is self.best
        )

    def small(self, trial: Trial) -> bool:
        """Whether its file is as small as asked."""
        return self.target_bytes is None or trial.bytes <= self.target_bytes

    @property
    def asked(self) -> str:
        """What was asked, in words."""
        told = f"a loss of {wording.points(self.margin)} points excluded"
        if self.target_bytes is None:
            return told
        return f"{told}, in at most {self.target_bytes:,} bytes"

    @property
    def missed(self) -> str:
        """What was asked and is not met, in words; else empty."""
        told = []
        if not self.best.holds:
            loss = wording.points(self.margin)
            told.append(f"a loss of {loss} points is not excluded")
        if not self.small(self.best):
            more = self.best.bytes - self.target_bytes
            told.append(f"the target is missed by {more:,} bytes")
        return " and ".join(told)

    @property
    def why(self) -> str:
        """Why this trial, as a sentence."""
        loss = wording.points(self.margin)
        many = len(self.trials)
        of = f"of {many} trials" if many > 1 else "of 1 trial"
        if not self.best.holds:
            return (
                f"none {of} excludes a loss of {loss} points, and this one "
                "may lose least; more images might decide"
            )
        if self.small(self.best):
            return f"it does all that was asked, as the first {of}"
        told = f"the smallest file {of} that excludes a loss of {loss} points"
        small = [one for one in self.trials if self.small(one)]
        if not small:
            least = min(one.bytes for one in self.trials)
            return f"{told}; the smallest of all has {least:,} bytes"
        nearest = max(small, key=lambda one: one.floor)
        return (
            f"{told}; the best that is as small as asked, {nearest.name}, "
            f"does not: {nearest.found}"
        )

    def report(self) -> dict:
        """All of it as plain numbers and texts."""
        trials = [{"name": one.name} | asdict(one) for one in self.trials]
        words = {
            name: getattr(self, name) for name in ("asked", "missed", "why")
        }
        told = {"chosen": self.number} | words | asdict(self)
        return told | {"trials": trials}


def worded(recipe: dict) -> tuple[str, str]:
    """Bits and method of a recipe, as of ``Trial``, in words."""
    layers = Counter(recipe.get("weight_bits", {}).values())
    told = f"{BITS} bits"
    if layers.keys() - {BITS}:
        (bits, many), *others = sorted(layers.items())
        told = f"{bits} bits in {many} layer{'s' * (many > 1)}"
        told += "".join(f", {bits} in {many}" for bits, many in others)
    method = f"ranges by {recipe.get('observer', 'minmax')}"
    if rounding := recipe.get("rounding"):
        method = f"{ROUNDINGS.row(rounding).label}, {method}"
    if kept := recipe.get("keep_float"):
        method += f", {', '.join(kept)} in float"
    return told, method
