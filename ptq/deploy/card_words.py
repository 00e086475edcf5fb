"""A deploy card in words, for the terminal and for the page."""

import textwrap
from collections.abc import Iterator

from ptq.deploy import loading
from ptq.evidence import number_text
from ptq.judge import wording

WIDTH = 78
MANY = 100_000  # bytes
NOTHING = "nothing"
BESIDES = {loading.SAVED: ", packed: weights at their real bits"}


def text(card) -> str:
    """The whole ``card.Card`` as lines of at most 78 characters or so."""
    blocks = [title(card)]
    for head, facts in sections(card):
        lines = [line for fact in facts for line in _wrapped(*fact)]
        blocks.append("\n".join([head, *lines]))
    blocks.insert(2, card.judgement.text().rstrip())
    if card.choice:
        trials = [line for one in _trials(card.choice) for line in one]
        blocks.insert(-1, "\n".join(["Trials, in order", *trials]))
    blocks.append(f"Load it\n{textwrap.indent(card.load, '  ').rstrip()}")
    return "\n\n".join(blocks) + "\n"


def title(card) -> str:
    """The network and the verdict on it."""
    return f"{card.network} in INT8: {card.verdict}"


def sections(card) -> list[tuple[str, list[tuple[str, str]]]]:
    """Title, and name and value of each fact, but for the judgement's."""
    return [
        ("In short", _summary(card)),
        *([("Why this one", _choice(card.choice))] if card.choice else []),
        ("Network", _network(card)),
        ("Stays in float", _or_nothing(card.in_float.items())),
        ("Checks", [(one.name, _check(one)) for one in card.checks]),
        ("Bytes", _bytes(card)),
        ("Times, one image", [_time(one) for one in card.times]),
        ("Machine", _machine(card.machine)),
        ("Risks", _or_nothing([("", one) for one in card.risks])),
    ]


def size(count: int, beside: int = 0) -> str:
    """Bytes, in MB (10^6) where they or those ``beside`` are many."""
    if max(count, beside) < MANY:
        return f"{count:,} B"
    return f"{count / 1e6:,.3f} MB"


def _summary(card) -> list[tuple[str, str]]:
    """What a deployment gains and costs: float first, INT8 second."""
    row, fastest = card.judgement.rows[0], card.times[0]
    told = [("predictions differ", wording.share(row.disagreement))]
    if row.accuracy:
        both = map(wording.share, (card.judgement.accuracy, row.accuracy))
        told.insert(0, ("accuracy", " → ".join(both)))
    each = [f"{ms:.3g} ms" for ms in fastest.milliseconds.values()][:2]
    return [
        *told,
        (
            "file",
            _change(card.files[loading.FLOAT_ONNX], _deployed(card)),
        ),
        ("activations", _change(*(p.bytes for p in card.memory.values()))),
        ("one image", f"{' → '.join(each)}, {fastest.time_verdict}"),
    ]


def _choice(found) -> list[tuple[str, str]]:
    """What was asked of the automatic mode, and what it chose."""
    return [
        ("asked", found.asked),
        ("missed", found.missed or NOTHING),
        ("chosen", f"trial {found.number}: {found.best.name}"),
        ("because", found.why),
        ("decided on", found.images),
        *found.refused.items(),
    ]


def _trials(found) -> Iterator[list[str]]:
    """Lines on each trial of a ``choice.Choice``."""
    for number, one in enumerate(found.trials, 1):
        yield _wrapped(
            f"{number}. {one.name}",
            f"{one.bytes:,} B; {one.found}: {one.verdict}; made in "
            f"{one.cpu_seconds:.1f} s of a processor",
        )


def _deployed(card) -> int:
    """Bytes of the file that was asked to be small, else the ONNX file's.

    Of the packed one where there is no other.
    """
    packed = card.files.get(loading.SAVED)
    if card.choice and card.choice.target_bytes is not None:
        return packed
    return card.files.get(loading.ONNX, packed)


def _change(before: int, after: int) -> str:
    smaller = f"{before / after:.2f} times smaller"
    return f"{size(before, after)} → {size(after, before)}, {smaller}"


def _network(card) -> list[tuple[str, str]]:
    macs = sum(row.macs for row in card.rows)
    return [
        ("parameters", f"{card.parameters:,}"),
        ("multiply-accumulates", f"{macs:,} an image"),
        *card.recipe.items(),
        *card.images.items(),
    ]


def _or_nothing(facts) -> list[tuple[str, str]]:
    return list(facts) or [("", NOTHING)]


def _check(one) -> str:
    return one.found if one.passed else f"NOT PASSED: {one.found}"


def _bytes(card) -> list[tuple[str, str]]:
    files = [
        (name, size(count) + BESIDES.get(name, ""))
        for name, count in card.files.items()
    ]
    return files + [
        (
            f"activations, {name}",
            f"{size(peak.bytes)} at most, for one image, at {peak.node}",
        )
        for name, peak in card.memory.items()
    ]


def _time(one) -> tuple[str, str]:
    each = ", ".join(
        f"{name} {milliseconds:.3g} ms"
        for name, milliseconds in one.milliseconds.items()
    )
    faster = f"INT8 {one.speedup:.2f} times as fast: {one.time_verdict}"
    told = f"{each}; {faster}"
    if one.busy:
        told += f", for {'; '.join(one.busy)}"
    threads = number_text.threads(one.threads)
    return f"batch {one.batch}, {one.mode}", f"{told}; {threads}"


def _machine(machine: dict) -> list[tuple[str, str]]:
    features = ", ".join(machine["features"]) or NOTHING
    return [
        ("processor", f"{machine['processor']}, {machine['cores']} cores"),
        ("instructions", features),
        ("ONNX Runtime", machine["onnxruntime"]),
        ("torch", machine["torch"]),
    ]


def _wrapped(name: str, value: str) -> list[str]:
    """A fact as the judge's report writes it; a long name has a line."""
    if len(name) > 21:
        return [f"  {name}", *_wrapped("", value)]
    return textwrap.wrap(
        value,
        width=WIDTH,
        initial_indent=f"  {name:<22}" if name else "    ",
        subsequent_indent=" " * (24 if name else 6),
    )
