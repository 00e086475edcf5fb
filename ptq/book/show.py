"""What a chapter shows: figures, tables, sources, numbers for its text."""

import base64
import inspect
import io
import re
from collections.abc import Callable
from dataclasses import is_dataclass
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from IPython.display import display
from matplotlib.figure import Figure

from ptq import paths
from ptq.book import style
from ptq.evidence import number_text
from ptq.evidence.intervals import Interval
from ptq.experiment.comparison import REFERENCE_ROW

KINDS = {"fig": "Figure", "tab": "Table", "eq": "Equation"}
FOR_NOTEBOOKS = {"ptq": "caption"}
# Values that cells of this kernel's notebook have noted.
_noted: dict[str, number_text.Plain] = {}


def title(label: str) -> str:
    """The text of a link to a label in notebooks, which have no numbers.

    ``title("tab-few-images")`` is "Table “few images”".
    """
    kind, _, name = label.partition("-")
    return f"{KINDS[kind]} “{name.replace('-', ' ')}”"


def _caption(label: str, text: str) -> None:
    """Display a caption in notebooks; the book's pages have their own."""
    told = f"{title(label)}: {text}"
    display(
        {"text/markdown": f"*{told}*", "text/plain": told},
        raw=True,
        metadata=FOR_NOTEBOOKS,
    )


def figure(
    made: Figure, folder: Path, name: str, caption: str, alt: str
) -> None:
    """Save as SVG and PNG in ``folder`` and display with caption and alt.

    ``name`` is the file's stem and, as ``fig-name``, the book's label.
    """
    rendered = {}
    for kind in ("svg", "png"):
        if rendered:
            # What was laid out for the first stays where it is.
            made.set_layout_engine("none")
        buffer = io.BytesIO()
        extra = {"Date": None} if kind == "svg" else {}
        with mpl.rc_context(style.STYLE):
            made.savefig(buffer, format=kind, metadata=extra)
        rendered[kind] = buffer.getvalue()
        paths.write_whole(folder / f"{name}.{kind}", rendered[kind])
    facts = {"caption": caption, "alt": alt, "name": f"fig-{name}"}
    bundle = {
        "image/svg+xml": rendered["svg"].decode(),
        "image/png": base64.b64encode(rendered["png"]).decode(),
        "text/plain": alt,
    }
    display(bundle, raw=True, metadata={"ptq": facts})
    _caption(facts["name"], caption)


def markdown(frame: pd.DataFrame) -> str:
    """A pipe table: numbers aligned to the right, words to the left."""
    cells = frame.astype(str)
    sides = [
        "--:" if _all_numbers(column.tolist()) else ":--"
        for _, column in cells.items()
    ]
    lines = [list(frame.columns), sides, *cells.values.tolist()]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def table(
    rows: pd.DataFrame | list[dict] | dict[str, list],
    name: str,
    caption: str,
    text: bool = False,
) -> None:
    """Display as a numbered table of the book, labelled ``tab-name``.

    ``rows`` is a frame, a dictionary a row, or a list a column. Notebooks
    have the caption above it. With ``text``, cells hold words, and may wrap.
    """
    frame = pd.DataFrame(rows)
    _caption(f"tab-{name}", caption)
    display(
        {
            "text/markdown": captioned(frame, name, caption, text),
            "text/html": frame.to_html(index=False, border=0),
            "text/plain": frame.to_string(index=False),
        },
        raw=True,
    )


def source(*functions: Callable) -> None:
    """Display the source of functions, as the book sets code.

    Raises OSError where a function's source is in no file, as for one typed
    into a terminal, and TypeError for objects without source.
    """
    text = "\n\n".join(inspect.getsource(f) for f in functions)
    fenced = f"```python\n{text}```"
    display({"text/markdown": fenced, "text/plain": text}, raw=True)


def _all_numbers(cells: list[str]) -> bool:
    """Whether there is a number, and nothing but numbers and intervals."""
    filled = [c for c in cells if c.strip("–- ") and c != REFERENCE_ROW]
    words = re.compile(r"[^\W\d_]")
    plain = (
        re.sub(r"\b(to|of|nan|inf|none)\b|e[-+]\d", "", c) for c in filled
    )
    return bool(filled) and not any(map(words.search, plain))


def captioned(
    frame: pd.DataFrame, name: str, caption: str, text: bool = False
) -> str:
    """MyST source of a numbered table; cells of ``text`` may wrap."""
    words = ":class: words\n" if text else ""
    return (
        f":::{{table}} {caption}\n:name: tab-{name}\n{words}\n"
        f"{markdown(frame)}\n:::\n"
    )


def note(**numbers) -> None:
    """Store numbers, words and intervals for sentences to ``quote``.

    The fields of a dataclass are kept as ``name.field``. Displays all by
    their names, rounded. Raises TypeError for a value of another kind.
    """
    found = {
        name: number_text.plain(value)
        for name, value in _fields(numbers).items()
    }
    _noted.update(found)
    told = {name: number_text.short(value) for name, value in found.items()}
    display(
        {
            "text/markdown": " · ".join(
                f"`{name}` {number_text.escaped(text)}"
                for name, text in told.items()
            ),
            "text/plain": ", ".join(f"{n} = {t}" for n, t in told.items()),
        },
        raw=True,
        metadata=FOR_NOTEBOOKS | {"noted": found},
    )


def _fields(numbers: dict) -> dict:
    """The same, with each dataclass but Interval taken apart."""
    apart = {}
    for name, value in numbers.items():
        if is_dataclass(value) and not isinstance(value, Interval):
            apart |= {f"{name}.{n}": v for n, v in vars(value).items()}
        else:
            apart[name] = value
    return apart


def quote(asked: str) -> str:
    """A noted value, for a sentence: ``quote('gain:.1f')``.

    JupyterLab evaluates ``{eval}`` roles when it runs a cell of text;
    ``python -m ptq run`` writes their values into the executed copy. Gives an
    ellipsis for a name that no cell has noted yet. Raises ValueError where
    the format does not fit the value.
    """
    name, _, form = asked.partition(":")
    return number_text.written(_noted[name], form) if name in _noted else "…"
