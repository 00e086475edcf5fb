"""The front page's answer for each network, of a run's own numbers."""

from pathlib import Path

import pandas as pd

from ptq import paths
from ptq.book.show import captioned
from ptq.evidence import number_text
from ptq.evidence.intervals import Interval
from ptq.experiment import network_study
from ptq.experiment.comparison import Paired
from ptq.experiment.results import NOT_JUDGED, Record, Timing
from ptq.measure import timer
from ptq.networks import recipes

FILE = "networks.csv"
CHAPTER = "16_four_networks"


def answers(
    records: dict[str, dict[str, Record]],
    chosen: dict[str, str],
    pairs: dict[tuple[str, str], Paired],
    timings: list[Timing],
) -> pd.DataFrame:
    """One row a network, numbers only, shares unless said.

    ``records`` are by network and choice, ``chosen`` by network, ``pairs``
    the compared choices. The speed-ups are those of the hot ``timings`` at
    their batches, with bounds, ``time`` is each one's verdict, and ``ms``
    are milliseconds an image, in floats (``bare``) and integers (``made``).
    """
    rows = {}
    for network, choice in chosen.items():
        bare, made = (
            records[network][name] for name in (network_study.FLOAT, choice)
        )
        pair = pairs[network, choice]
        row = {
            "choice": network_study.CHOICES[choice].label,
            "n": bare.n,
            "accuracy": bare.correct / bare.n,
            "change": pair.change.value,
            "change_low": pair.change.low,
            "change_high": pair.change.high,
            "verdict": pair.verdict,
            "bare_bytes": bare.file_bytes,
            "file_bytes": made.file_bytes,
        }
        for timing in timings:
            if timing.mode == timer.HOT:
                row |= _speed(timing, network)
        rows[network] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def save(frame: pd.DataFrame, run_folder: Path) -> None:
    """Keep the answers in the run folder, for the front page."""
    text = frame.to_csv(index_label="network")
    paths.write_whole(run_folder / FILE, text)


def write(run_folder: Path, target: Path) -> None:
    """Write the table of a run's answers to ``target``, for the front page.

    Where the run has none, one sentence says how to make them.
    """
    path = run_folder / FILE
    if not path.exists():
        text = f"*`python -m ptq run --only {CHAPTER}` makes this table.*\n"
    else:
        frame = pd.read_csv(path, index_col="network")
        text = captioned(_readable(frame), "networks", _caption(frame))
    paths.write_whole(target / "networks.md", text)


def _speed(timing: Timing, network: str) -> dict:
    pair, prefix = network_study.timed(network), "single"
    if timing.batch > 1:
        prefix = "batch"
    found = timing.speedup(*pair)
    slow, fast = (timing.milliseconds(name).value for name in pair)
    return {
        f"{prefix}_size": timing.batch,
        f"{prefix}_threads": timing.threads,
        f"{prefix}_bare_ms": slow,
        f"{prefix}_made_ms": fast,
        f"{prefix}_speedup": found.value,
        f"{prefix}_low": found.low,
        f"{prefix}_high": found.high,
        f"{prefix}_time": timing.time_verdict(*pair),
        f"{prefix}_busy": "; ".join(timing.busy),
    }


def _readable(frame: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for row in frame.itertuples():
        change = Interval(row.change, row.change_low, row.change_high)
        times = [_times(row._asdict(), p) for p in ("single", "batch")]
        rows.append(
            {
                "network": recipes.get(row.Index).label,
                "FP32 (%)": f"{100 * row.accuracy:.2f}",
                "INT8 (points)": f"{100 * change:+.2f}",
                "accuracy is": row.verdict,
                "size (MB)": f"{row.bare_bytes / 1e6:.2f} → "
                f"{row.file_bytes / 1e6:.2f}",
            }
            | times[0]
            | times[1]
        )
    return pd.DataFrame(rows)


def _times(row: dict, prefix: str) -> dict[str, str]:
    """Milliseconds in floats and integers, and their ratio, by column."""
    slow, fast = (row[f"{prefix}_{of}_ms"] for of in ("bare", "made"))
    batch = f"batch {row[f'{prefix}_size']}"
    return {
        f"{batch}: ms": f"{slow:.3f} → {fast:.3f}",
        f"{batch}: times as fast": _ratio(row, prefix),
    }


def _ratio(row: dict, prefix: str) -> str:
    """A speed-up with its bounds; without, where it is not judged."""
    found = Interval(
        *(row[f"{prefix}_{part}"] for part in ("speedup", "low", "high"))
    )
    if row[f"{prefix}_time"] == NOT_JUDGED:
        return f"{found.value:.2f} ({NOT_JUDGED})"
    return f"{found:.2f}"


def _caption(frame: pd.DataFrame) -> str:
    first = frame.iloc[0]
    choices = ", ".join(
        f"{recipes.get(name).label} {choice}"
        for name, choice in frame.choice.items()
    )
    threads = number_text.threads(int(first.batch_threads))
    text = (
        "Four networks at eight bits, one training of each (the decision map "
        "below has several), in ONNX Runtime, on "
        f"{first.n:,} test images of CIFAR-10: accuracy in floats, its "
        "change with the paired 95 % interval, the files, milliseconds an "
        "image, and how many times as fast as the same network's float file, "
        f"hot, {threads}. Weights by the rule of the decision "
        f"map, on validation images over trainings: {choices}."
    )
    if signs := _signs(frame):
        text += f" This machine was busy: {'; '.join(signs)}."
    return text


def _signs(frame: pd.DataFrame) -> list[str]:
    """Why times are not judged, with their conditions."""
    return [
        f"at batch {size}, hot, {signs}"
        for prefix in ("single", "batch")
        for size, signs in dict(
            zip(frame[f"{prefix}_size"], frame[f"{prefix}_busy"], strict=True)
        ).items()
        if isinstance(signs, str) and signs
    ]


def ranged(frame: pd.DataFrame, prefix: str) -> str:
    """The least and largest speed-up of ``answers``, and the verdicts.

    "1.4 to 1.8 times as fast (faster: 3 of 4; not judged: 1 of 4)".
    ``prefix`` is "single" or "batch".
    """
    found = frame[f"{prefix}_speedup"]
    counts = frame[f"{prefix}_time"].value_counts(sort=False)
    words = (f"{word}: {n} of {len(frame)}" for word, n in counts.items())
    return (
        f"{found.min():.1f} to {found.max():.1f} times as fast "
        f"({'; '.join(words)})"
    )
