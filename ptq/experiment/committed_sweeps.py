"""Results of the big sweeps, kept with the book and checked by the chapters.

A sweep takes an hour or more, so its table is committed. Each chapter that
reads one measures a part of it again.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ptq import paths
from ptq.evidence import intervals, paired_tests
from ptq.evidence.paired_tests import Flips
from ptq.experiment.results import Record
from ptq.measure import host, timer
from ptq.networks import recipes

PAPER, OVERHEAD = "paper.yml", "overhead.json"
NAMES = (
    "replication",
    "factorial",
    "calibration",
    "networks",
    "ranges",
    "rounding",
    "learned",
    "smallest",
    "corruptions",
)
# What decides, besides the code, whether predictions come out the same:
# scales come from float kernels, and each processor selects its own.
SAME = ("processor", "architecture", "features", "torch_capability", "torch")
REDUNDANT = ["point", "accuracy"]
ALL_TEST_IMAGES = 10_000


class ReferenceError(RuntimeError):
    """A reference is missing, incomplete or damaged; says what to do."""


def files() -> list[Path]:
    """The committed references, which chapters read."""
    tables = (f"{name}.{kind}" for name in NAMES for kind in ("csv", "json"))
    found = (paths.REFERENCE / name for name in (PAPER, *tables))
    return [path for path in found if path.exists()]


def keep(
    name: str, sweep_folder: Path, target: Path = paths.REFERENCE
) -> Path:
    """Make a finished sweep's table the reference ``name``; its path.

    Columns with one value throughout go into the manifest. Raises
    ReferenceError where there is no sweep, points are missing, failed, or
    were measured on different kinds of machine.
    """
    path = sweep_folder / paths.MANIFEST
    if not path.exists():
        raise ReferenceError(
            f"{sweep_folder} holds no sweep: `python -m ptq sweep "
            f"notebooks/sweeps/{name}.yml` makes it, or give another --runs"
        )
    manifest = json.loads(path.read_text())
    states = manifest["points"]
    if unfinished := [p for p, s in states.items() if s != paths.MANIFEST]:
        raise ReferenceError(
            f"{sweep_folder}: {len(unfinished)} of {len(states)} points are "
            "not done; run the sweep again, with --retry if they failed"
        )
    frame = pd.read_parquet(sweep_folder / paths.TABLE)
    frame = frame.drop(columns=[c for c in REDUNDANT if c in frame])
    constant = {
        column: frame[column].tolist()[0]
        for column in frame
        if frame[column].nunique(dropna=False) == 1
    }
    kept = {n: manifest[n] for n in ("sweep", "chapter", "version")}
    kept |= _measured(sweep_folder, list(states)) | {"constant": constant}
    frame = frame.drop(columns=constant).round(6)
    path = target / f"{name}.csv"
    paths.write_whole(path, frame.to_csv(index=False))
    paths.write_json(path.with_suffix(".json"), kept)
    return path


def _measured(sweep_folder: Path, points: list[str]) -> dict:
    """When, where and from which commit, as the points' manifests say."""
    folder = sweep_folder / paths.POINTS
    told = [
        json.loads((folder / point / paths.MANIFEST).read_text())
        for point in points
    ]
    machines = [_kind(one["machine"]) for one in told]
    if others := [m for m in machines if m != machines[0]]:
        raise ReferenceError(
            f"{sweep_folder}: measured on {machines[0]} and on {others[0]}; "
            "expected one kind of machine, as a reference is compared with "
            "what that machine gives"
        )
    days = sorted(one["finished"][:10] for one in told)
    return {
        "commit": ", ".join(sorted({one["commit"] for one in told})),
        "measured": " to ".join(dict.fromkeys([days[0], days[-1]])),
        "machine": {
            key: value
            for key, value in told[-1]["machine"].items()
            if key != "load"
        },
        "points": len(told),
        "seconds": round(sum(one["seconds"] for one in told), 1),
    }


def _kind(machine: dict) -> dict:
    """A machine without its load, and without flags that came later."""
    known = [f for f in machine["features"] if f not in host.BFLOAT]
    kind = machine | {"features": known}
    return {key: kind[key] for key in kind if key != "load"}


def keep_overhead(
    points: int, workers: int, seconds: float, target: Path = paths.REFERENCE
) -> None:
    """Keep what scheduling one trivial point cost, in ``seconds``."""
    found = {
        "points": points,
        "workers": workers,
        "milliseconds": round(1000 * seconds, 2),
        "measured": time.strftime("%Y-%m-%d", time.gmtime()),
        "processor": host.machine()["processor"],
    }
    paths.write_json(target / OVERHEAD, found)


def load(
    name: str, folder: Path = paths.REFERENCE
) -> tuple[pd.DataFrame, dict]:
    """Table and manifest of a reference, ``accuracy`` (0 to 1) included.

    ReferenceError where one of the two is missing or damaged.
    """
    path = folder / f"{name}.csv"
    try:
        manifest = json.loads(path.with_suffix(".json").read_text())
        frame = pd.read_csv(path, dtype={"predictions": str})
        frame = frame.assign(**manifest["constant"])
        return frame.assign(accuracy=frame.correct / frame.n), manifest
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise ReferenceError(
            f"{path} and .json: {error!r}; `make sweeps` makes them again"
        ) from error


def networks(frame: pd.DataFrame) -> list[str]:
    """The networks of a reference, in the order of the registry."""
    measured = set(frame.network)
    return [name for name in recipes.NETWORKS if name in measured]


def changes(
    frame: pd.DataFrame, network: str, names: Iterable[str], base: str
) -> dict[str, np.ndarray]:
    """Changes of accuracy (shares) against ``base``, (trainings,), by name.

    ``names`` and ``base`` are strategies of ``network`` in the reference.
    """
    wide = frame[frame.network == network].pivot(
        index="train_seed", columns="strategy", values="accuracy"
    )
    return {name: (wide[name] - wide[base]).to_numpy() for name in names}


def judged(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of a reference that tells ``lost`` and ``gained``, judged.

    Columns are added: ``change`` of accuracy (a share, an Interval) against
    what a row was compared with, ``p`` McNemar's, by Holm's correction over
    these rows, and the ``verdict``.
    """
    flips = [
        Flips(lost, gained, n, paired_tests.mcnemar(lost, gained))
        for lost, gained, n in zip(
            *(rows[c].astype(int).tolist() for c in ("lost", "gained", "n")),
            strict=True,
        )
    ]
    adjusted = paired_tests.holm([one.p for one in flips])
    return rows.assign(
        change=list(map(paired_tests.difference, flips)),
        p=adjusted,
        verdict=list(map(paired_tests.verdict, flips, adjusted)),
    )


def origin(manifest: dict) -> str:
    """When and where a reference was measured, as a sentence."""
    machine = manifest["machine"]
    return (
        f"Measured on {manifest['measured']} at commit {manifest['commit']}, "
        f"{manifest['points']:,} points in {manifest['seconds'] / 3600:.1f} "
        f"worker hours, on {machine['processor']} "
        f"({', '.join(machine['features'])}), torch {machine['torch']}."
    )


def same_arithmetic(manifest: dict, engine: str) -> bool:
    """Whether this machine and engine must give equal predictions."""
    here, there = _kind(host.machine()), _kind(manifest["machine"])
    return engine == manifest["constant"]["engine"] and all(
        here[key] == there[key] for key in SAME
    )


def agreement(
    rows: pd.DataFrame, records: list[Record], manifest: dict
) -> pd.DataFrame:
    """Records measured now beside their rows of the reference, in order.

    Where the arithmetic is the same, the predictions must be equal;
    elsewhere the accuracy must lie in the 95 % interval of the reference's.
    Column ``how`` says which of the two it is, ``agrees`` whether it holds.
    """
    found = []
    for row, record in zip(rows.itertuples(), records, strict=True):
        exact = same_arithmetic(manifest, record.engine)
        known = intervals.wilson(int(row.correct), int(row.n))
        now = record.correct / record.n
        found.append(
            {
                "reference": int(row.correct),
                "now": record.correct,
                "how": "equal predictions" if exact else "within interval",
                "agrees": digest(record) == row.predictions
                if exact
                else known.low <= now <= known.high,
            }
        )
    return pd.DataFrame(found, index=rows.index)


def measured_again(
    chosen: list,
    measure: Callable[..., Record],
    table: pd.DataFrame,
    manifest: dict,
) -> pd.DataFrame:
    """Measure a part of a reference, on one thread: ``agreement`` of each.

    ``measure`` makes the record of one of the ``chosen``, whose row
    ``table`` has once. KeyError where it has none.
    """
    with timer.pinned_threads(1):
        records = [measure(one) for one in chosen]
    rows = table.set_index("strategy").loc[[r.strategy for r in records]]
    return agreement(rows, records, manifest)


def repeated(choices: Sequence, test_images: int, fewest: int = 2) -> list:
    """The part of a reference that a chapter measures again, in order.

    All ``choices``, or the same share of them as ``test_images`` is of the
    10,000 that the book asks, spread evenly; never less than ``fewest``.
    """
    share = test_images / ALL_TEST_IMAGES
    count = max(fewest, round(len(choices) * share))
    chosen = np.linspace(0, len(choices) - 1, count).round().astype(int)
    return [choices[i] for i in chosen]


def digest(record: Record) -> str:
    """A hash that represents a record's predictions in a table."""
    found = record.predictions.tobytes()
    return hashlib.sha256(found).hexdigest()[:12]
