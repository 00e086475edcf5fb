"""A judgement in words, for the terminal and for the page."""

import textwrap

from ptq.evidence import number_text
from ptq.evidence.intervals import Interval

WORST = 5
MEANINGS = {
    "better": "more images gained than lost, beyond chance",
    "worse": "more images lost than gained, beyond chance; a loss by less "
    "than the margin is one that you accept",
    "non-inferior": "a loss of the margin or more is excluded",
    "no difference shown": "neither a change is shown, nor is a loss of the "
    "margin excluded: more images would decide",
    "unknown without labels": "too many predictions differ to exclude a loss "
    "of the margin; labels would decide",
}


def text(found) -> str:
    """The whole ``judgement.Judgement`` as lines of at most 78 characters."""
    blocks = [head(found)]
    blocks += [_block(found, row) for row in found.rows]
    words = dict.fromkeys(row.verdict for row in found.rows)
    told = [f"{word}: {MEANINGS[word]}" for word in words]
    blocks.append([line for one in told for line in textwrap.wrap(one, 78)])
    return "\n\n".join("\n".join(lines) for lines in blocks) + "\n"


def head(found) -> list[str]:
    """What all candidates share: reference, images, classes, margin."""
    lines = [
        f"Reference: {found.reference}, {found.images:,} images, "
        f"{found.classes:,} classes",
        f"Margin: {points(found.margin)} points",
    ]
    if found.accuracy:
        lines[0] += f", {share(found.accuracy)} right"
    return lines


def _block(found, row) -> list[str]:
    title = f"{row.name}: {row.verdict.upper()}{accepted(row)}"
    told = facts(found, row)
    if row.change is not None:
        told.append(("by class", class_title(found, row)))
    lines = [line for name, value in told for line in _wrapped(name, value)]
    return [title, *lines, *_classes(row)]


def accepted(row) -> str:
    """What belongs behind the word of a loss that the margin accepts."""
    by_less = row.verdict == "worse" and row.non_inferior
    return ", by less than the margin" if by_less else ""


def _wrapped(name: str, value: str) -> list[str]:
    return textwrap.wrap(
        value,
        width=78,
        initial_indent=f"  {name:<22}",
        subsequent_indent=" " * 24,
    )


def facts(found, row) -> list[tuple[str, str]]:
    """Name and value of each number about a candidate, as text."""
    excluded = "excluded" if row.non_inferior else "not excluded"
    loss = f"loss of {points(found.margin)} points"
    other = ("disagreement", share(row.disagreement))
    if row.change is None:
        most = f"{points(row.disagreement.value)} points on these images"
        return [
            other,
            ("accuracy changes by", f"at most {most}, whatever the labels"),
            (loss, excluded),
            *(("note", note) for note in row.notes),
        ]
    return [
        ("right", share(row.accuracy)),
        ("change", change(row.change)),
        ("lost / gained", f"{row.lost:,} / {row.gained:,} images"),
        ("McNemar's exact p", _p(row, len(found.rows))),
        (loss, excluded),
        ("shown from", detectable(row, len(found.rows))),
        other,
        *(("note", note) for note in row.notes),
    ]


def _p(row, candidates: int) -> str:
    alone, holm = map(number_text.probability, (row.p, row.p_holm))
    if candidates == 1:
        return alone
    return f"{alone}; by Holm over {candidates}: {holm}"


def detectable(row, candidates: int) -> str:
    """The smallest change that is shown whatever other candidates do."""
    if row.detectable is None:
        return "no change: too few images"
    others = ", whatever the others are" * (candidates > 1)
    return f"a change of {points(row.detectable)} points{others}"


def class_title(found, row) -> str:
    """What the correction by class covers, and how many were hurt."""
    asked = len(row.by_class) * len(found.rows)
    what = f"{len(row.hurt)} of {len(row.by_class)} classes shown to lose"
    return f"{what} (Holm over {asked:,} comparisons)"


def _classes(row) -> list[str]:
    losing = [c for c in row.by_class if c.lost > c.gained][:WORST]
    lines = []
    if losing:
        lines.append(
            f"    {'largest net loss':<20}{'images':>8}{'lost':>7}"
            f"{'gained':>8}{'points':>8}  Holm p"
        )
    for one in losing:
        lines.append(
            f"    {one.name[:20]:<20}{one.images:>8,}{one.lost:>7,}"
            f"{one.gained:>8,}{100 * one.change:>+8.2f}  {one.p_holm:.2g}"
            f"{', worse' if one.word == 'worse' else ''}"
        )
    return lines


def share(found: Interval) -> str:
    """A share and its interval in percent."""
    value, low, high = (
        f"{100 * v:.2f}" for v in (found.value, found.low, found.high)
    )
    return f"{value} % ({low} to {high})"


def change(found: Interval) -> str:
    """A change and its paired interval in points."""
    value, low, high = (
        f"{100 * v:+.2f}" for v in (found.value, found.low, found.high)
    )
    return f"{value} points ({low} to {high})"


def points(value: float) -> str:
    """A share in points: 0.50; more digits where two would be zeros."""
    return f"{100 * value:.2f}" if value >= 0.0001 else f"{100 * value:.2g}"
