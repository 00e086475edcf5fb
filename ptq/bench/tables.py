"""The tables of a bench: sizes, times, and the fastest of each kind."""

from ptq.bench import against_peers, roofline
from ptq.bench.competitors import FLOAT, INTEGER, RECOMMENDED
from ptq.bench.report import Report, Table
from ptq.experiment import comparison
from ptq.experiment.results import Timing

HEAD = ("", "ms", f"times {FLOAT}", "verdict", "of peak")
NONE = "–"


def report(bench) -> Report:
    """All of a ``measuring.Bench``, and what must be said beside it."""
    tables = [_sizes(bench), *(_times(bench, one) for one in bench.timings)]
    summary = against_peers.table(bench.timings, bench.choices)
    return Report(
        f"{bench.network}: times on this machine",
        _facts(bench),
        [*tables, *([summary] if summary else [])],
    )


def _facts(bench) -> list[str]:
    machine, features = bench.machine, bench.machine["features"]
    told = [
        f"{bench.macs:,} multiply-accumulates an image; {bench.images}",
        f"{machine['processor']}, {machine['cores']} cores, "
        f"{', '.join(features) or 'no known features'}",
        ", ".join(f"{n} {v}" for n, v in bench.versions.items()),
        "Each row takes the same uint8 images; normalization is timed, too. "
        "Hot: a loop over one network; cold: one call after the others'.",
    ]
    told += [f"Left out: {n}: {why}" for n, why in bench.left_out.items()]
    for count, peak in bench.peaks.items():
        rates = [
            f"{kind} {peak[kind] / 1e9:,.0f}"
            for kind in peak.keys() - {roofline.COPY}
        ]
        told.append(
            f"Peak, threads: {count}: {', '.join(sorted(rates))} billion "
            f"multiply-accumulates a second; copies "
            f"{peak[roofline.COPY] / 1e9:.1f} GB/s"
        )
    return told


def _sizes(bench) -> Table:
    rows = [
        (
            name,
            f"{row.bytes:,}",
            NONE if row.memory is None else f"{row.memory:,}",
            _share(row.in_integers, 0),
            _share(row.disagreement, 2),
            row.accuracy or NONE,
        )
        for name, row in bench.rows.items()
    ]
    head = (
        *("", "bytes", "of activations", "in integers", "changed"),
        "points of accuracy",
    )
    return Table(
        "Size of the file, peak of activations for one image, share of an "
        "engine's time that is in integers, predictions other than of "
        f"{FLOAT}, and change of accuracy",
        head,
        rows,
    )


def _share(share: float | None, digits: int) -> str:
    return NONE if share is None else f"{100 * share:.{digits}f} %"


def _times(bench, timing: Timing) -> Table:
    peak = bench.peaks[str(timing.threads)]
    rows = []
    for name, row in bench.rows.items():
        one = comparison.times(timing, FLOAT, name)
        ratio = timing.judged(timing.speedup(FLOAT, name))
        roof = bench.macs / one.milliseconds * 1e3 / peak[row.arithmetic]
        rows.append(
            (
                name,
                f"{one.milliseconds:.3f}",
                f"{ratio:.2f}",
                one.time_verdict,
                f"{100 * roof:.1f} %",
            )
        )
    head = f"One image: {timing.conditions}"
    return Table(head, HEAD, rows, (*_rivals(bench, timing), *busy(timing)))


def busy(timing: Timing) -> list[str]:
    """A sentence on why nothing was judged, if it was so."""
    if not timing.busy:
        return []
    return [f"Busy, so not judged: {'; '.join(timing.busy)}"]


def _rivals(bench, timing: Timing) -> list[str]:
    """What is recommended against the fastest without integers."""
    others = [n for n, row in bench.rows.items() if row.arithmetic != INTEGER]
    if RECOMMENDED not in bench.rows or not others:
        return []
    rival = min(others, key=lambda n: timing.milliseconds(n).value)
    ratio = timing.speedup(rival, RECOMMENDED)
    return [
        f"{RECOMMENDED} against the fastest without integers ({rival}): "
        f"{timing.judged(ratio):.2f} times as fast, {timing.word(ratio)}"
    ]
