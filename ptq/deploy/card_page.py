"""A deploy card as one HTML file: nothing is loaded, light and dark."""

from html import escape

from ptq.deploy import card_words
from ptq.judge import html_page

LAYERS = (
    *("layer", "operation", "bits", "grid of weights", "results from"),
    *("to", "MACs", "bytes"),
)
TRIALS = (
    *("trial", "bits of weights", "method", "bytes", "change", "verdict"),
    "CPU (s)",
)


def page(card) -> str:
    """The whole ``card.Card`` as HTML text."""
    first, *others = card_words.sections(card)
    told = "".join(_section(head, facts) for head, facts in others)
    content = (
        f"{_section(*first)}{html_page.body(card.judgement)}{told}"
        f"{_trials(card.choice)}<h2>Layers</h2>\n{_layers(card)}"
        f"<h2>Load it</h2>\n{_code(card.load)}"
    )
    return html_page.document(card_words.title(card), content)


def _section(head: str, facts: list[tuple[str, str]]) -> str:
    named = any(name for name, _ in facts)
    if named:
        rows = "".join(
            f'<tr><th scope="row">{escape(name)}</th>'
            f"<td>{escape(value)}</td></tr>"
            for name, value in facts
        )
        inside = f'<table class="facts">{rows}</table>'
        label = escape(head)
        told = (
            '<div class="scroll" tabindex="0" role="region" '
            f'aria-label="{label}">{inside}</div>'
        )
    else:
        items = "".join(f"<li>{escape(value)}</li>" for _, value in facts)
        told = f"<ul>{items}</ul>"
    return f"<h2>{escape(head)}</h2>\n{told}\n"


def _trials(choice) -> str:
    """A ``choice.Choice`` as a table; nothing where there is none."""
    if not choice:
        return ""
    rows = [
        f'<tr><th scope="row">{number}</th><td>{escape(one.bits)}</td>'
        f"<td>{escape(one.method)}</td><td>{one.bytes:,}</td>"
        f'<td>{one.found}</td><td class="{one.verdict.replace(" ", "-")}">'
        f"{one.verdict}</td><td>{one.cpu_seconds:.1f}</td></tr>"
        for number, one in enumerate(choice.trials, 1)
    ]
    caption = f"Decided on {escape(choice.images)}, with 95 % intervals"
    table = html_page.table(caption, TRIALS, rows)
    return f"<h2>Trials, in order</h2>\n{table}"


def _layers(card) -> str:
    rows = [
        f'<tr><th scope="row">{escape(row.layer)}</th>'
        f"<td>{escape(row.operation)}</td><td>{row.bits}</td>"
        f"<td>{row.grid}</td><td>{_end(row.low)}</td>"
        f"<td>{_end(row.high)}</td><td>{row.macs:,}</td>"
        f"<td>{row.bytes:,}</td></tr>"
        for row in card.rows
    ]
    caption = "Convolutions and linear layers, in order of running"
    return html_page.table(caption, LAYERS, rows)


def _end(value: float | None) -> str:
    return "float" if value is None else f"{value:.4g}"


def _code(code: str) -> str:
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Code">'
        f"<pre><code>{escape(code)}</code></pre></div>\n"
    )
