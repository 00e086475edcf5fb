"""Cells that many tables have: numbers as text, by the column's title."""

from ptq.evidence.intervals import Interval

MIB = 2**20


def interval(row: dict, name: str) -> Interval:
    """What a row of ``Comparison.frame`` has of ``name``, in its unit."""
    return Interval(*(row[name + end] for end in ("", "_low", "_high")))


def between(found: Interval, form: str = "+.2f") -> str:
    """The bounds alone, each in a format of numbers: "-0.10 to +0.34"."""
    return f"{found.low:{form}} to {found.high:{form}}"


def about_zero(found: Interval) -> str:
    """Whether an interval by itself, uncorrected, leaves out zero."""
    apart = found.low > 0 or found.high < 0
    return f"interval {'without' if apart else 'with'} zero"


def top_1(share: Interval) -> dict[str, str]:
    """An accuracy, given as a share, in percent."""
    top = 100 * share
    return {
        "top-1 (%)": f"{top.value:.2f}",
        "95 % interval": f"{top.low:.1f}–{top.high:.1f}",
    }


def judged(row: dict, holm: str = "holm") -> dict[str, str]:
    """Lost and gained images, adjusted p, if ``holm`` names one, verdict."""
    return {
        "lost / gained": f"{row['lost']} / {row['gained']}",
        "Holm p": f"{row[holm]:.2g}" if holm in row else "–",
        "verdict": row["verdict"],
    }


def time(row: dict, prefix: str = "") -> dict[str, str]:
    """Cells of ``comparison.Times``: milliseconds, ratio and verdict."""
    return {
        "ms per image": f"{row[f'{prefix}milliseconds']:.3f}",
        "speed-up": f"{interval(row, f'{prefix}speedup'):.2f}",
        "time": row[f"{prefix}time_verdict"],
    }


def under(conditions: str, found: dict) -> dict:
    """What ``time`` gives, or columns of it, named by the conditions."""
    return {
        f"{conditions}: ms": found["ms per image"],
        f"{conditions}: times as fast": found["speed-up"],
        f"{conditions}: verdict": found["time"],
    }
