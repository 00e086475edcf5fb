"""The deploy card: what was made of a network, and what is known of it."""

import json
import math
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from ptq import paths
from ptq.deploy import card_page, card_words
from ptq.deploy.choice import REPORT, Choice
from ptq.evidence.intervals import Interval
from ptq.judge.judgement import Judgement
from ptq.measure.activation_memory import Peak

CARDS = ("card.json", "card.html")


@dataclass(frozen=True)
class Row:
    """A layer: its work, and the codes that stand for its numbers.

    ``bits`` are those of a weight (32 in float), ``grid`` is "per channel",
    "per tensor" or "float"; ``low`` and ``high`` are the ends of the grid of
    its results, None where they are real numbers. ``macs`` are for one image.
    """

    layer: str
    operation: str
    bits: int
    grid: str
    low: float | None
    high: float | None
    macs: int
    bytes: int


@dataclass(frozen=True)
class Check:
    """Something that was compared; ``found`` is a sentence on it."""

    name: str
    passed: bool
    found: str


@dataclass(frozen=True)
class Time:
    """Median milliseconds of one image under one condition, by network.

    ``speedup`` is how many times faster INT8 is than float in the same
    runtime, with the interval of the next session (NaN without), and
    ``time_verdict`` the word on that. ``busy`` says why nothing was judged.
    """

    batch: int
    threads: int
    mode: str
    milliseconds: dict[str, float]
    speedup: Interval
    time_verdict: str
    busy: list[str]


@dataclass(frozen=True)
class Card:
    """Everything about one deployment; made by ``deploying.deploy``.

    ``files`` holds bytes by the file's name, ``memory`` the peak of
    activations for one image, "float" and "INT8"; ``ranges`` the ends of
    each grid; ``in_float`` a sentence on each operation in float; ``risks``
    one on whatever may go wrong; ``load`` is Python code; ``choice`` is why
    it was quantized so, where the automatic mode decided.
    """

    network: str
    parameters: int
    recipe: dict[str, str]
    images: dict[str, str]
    rows: list[Row]
    ranges: dict[str, tuple[float, float]]
    in_float: dict[str, str]
    checks: list[Check]
    judgement: Judgement
    files: dict[str, int]
    memory: dict[str, Peak]
    times: list[Time]
    machine: dict
    risks: list[str]
    load: str
    choice: Choice | None = None

    @property
    def verdict(self) -> str:
        """The judge's word on the INT8 network, at the margin."""
        return self.judgement.rows[0].verdict

    def failing(self, condition: str) -> list[str]:
        """["INT8"] unless it meets the judge's ``condition``, else [].

        InputError where that is none of ``judgement.CONDITIONS``.
        """
        return self.judgement.failing(condition)

    def json(self) -> str:
        """All numbers; null for what there is none of."""
        content = asdict(self) | {"verdict": self.verdict}
        content["judgement"] = json.loads(self.judgement.json())
        content["choice"] = self.choice and self.choice.report()
        text = json.dumps(_finite(content), indent=1, allow_nan=False)
        return f"{text}\n"

    def page(self) -> str:
        """One HTML file that needs no other."""
        return card_page.page(self)

    def write(self, folder: str | Path) -> None:
        """Write ``CARDS`` into ``folder``, and the trials, if there are any.

        OSError where they cannot be written; then there is no card at all.
        """
        files = [Path(folder) / name for name in CARDS]
        if self.choice:
            report = self.choice.report()
            paths.write_json(Path(folder) / REPORT, report)
        texts = self.json(), self.page()
        try:
            for file, text in zip(files, texts, strict=True):
                paths.write_whole(file, text)
        except BaseException:
            for file in files:
                # A folder in the place of one cannot be removed so.
                with suppress(OSError):
                    file.unlink()
            raise

    def __str__(self):
        return card_words.text(self)


def _finite(content):
    """The same with None in the place of NaN."""
    if isinstance(content, dict):
        return {str(k): _finite(v) for k, v in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(v) for v in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content
