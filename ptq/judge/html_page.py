"""A judgement as one HTML file: nothing is loaded, light and dark."""

from html import escape

from ptq.judge import wording

STYLE = """
:root { color-scheme: light dark; --line: #8886; --bad: #a40000;
  --good: #00600f; --soft: #8881; }
@media (prefers-color-scheme: dark) { :root { --bad: #ff9a8f;
  --good: #7ddc8a; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { line-height: 1.2; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .3rem .8rem; border-bottom: 1px solid var(--line);
  text-align: right; }
th:first-child, td:first-child, .facts td { text-align: left; }
caption { text-align: left; padding: .3rem 0; }
thead th { background: var(--soft); vertical-align: bottom; }
.worse { color: var(--bad); font-weight: 600; }
.better, .non-inferior { color: var(--good); font-weight: 600; }
"""


def page(found) -> str:
    """The whole ``judgement.Judgement`` as HTML text."""
    others = ", ".join(row.name for row in found.rows)
    return document(f"{others} against {found.reference}", body(found))


def document(title: str, content: str) -> str:
    """A page that needs no other file, of a title and HTML text below it."""
    title = escape(title)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<main>\n<h1>{title}</h1>\n{content}</main>\n</body>\n</html>\n"
    )


def body(found) -> str:
    """A ``judgement.Judgement`` as the content of a page."""
    about = "".join(
        f"<li>{escape(line)}</li>" for line in wording.head(found)
    )
    parts = "".join(_candidate(found, row) for row in found.rows)
    words = "".join(
        f"<dt>{word}</dt><dd>{meaning}</dd>"
        for word, meaning in wording.MEANINGS.items()
    )
    return (
        f"<ul>{about}</ul>\n{_summary(found)}{parts}<h2>The words</h2>\n"
        f"<dl>{words}</dl>\n"
    )


def _summary(found) -> str:
    head = ["candidate", "verdict", "change (points)", "disagreement"]
    rows = []
    for row in found.rows:
        change = wording.change(row.change) if row.change else "–"
        kind = row.verdict.replace(" ", "-")
        rows.append(
            f'<tr><th scope="row">{escape(row.name)}</th>'
            f'<td class="{kind}">{row.verdict}{wording.accepted(row)}</td>'
            f"<td>{change}</td>"
            f"<td>{wording.share(row.disagreement)}</td></tr>"
        )
    return table("Verdicts, with 95 % intervals", head, rows)


def _candidate(found, row) -> str:
    name = escape(row.name)
    facts = "".join(
        f'<tr><th scope="row">{escape(key)}</th><td>{escape(value)}</td></tr>'
        for key, value in wording.facts(found, row)
    )
    parts = (
        f"<h2>{name}: {row.verdict}{wording.accepted(row)}</h2>\n"
        f'<table class="facts">{facts}</table>\n'
    )
    if row.change is None:
        return parts
    head = ["class", "images", "lost", "gained", "points", "Holm p", "word"]
    rows = [
        f'<tr><th scope="row">{escape(one.name)}</th><td>{one.images:,}</td>'
        f"<td>{one.lost:,}</td><td>{one.gained:,}</td>"
        f"<td>{100 * one.change:+.2f}</td><td>{one.p_holm:.2g}</td>"
        f'<td class="{one.word.replace(" ", "-")}">{one.word}</td></tr>'
        for one in row.by_class
    ]
    caption = f"By class: {wording.class_title(found, row)}"
    return parts + table(f"{name}. {caption}", head, rows)


def table(caption: str, head: list[str], rows: list[str]) -> str:
    """HTML text of a table; ``rows`` are its rows in HTML."""
    cells = "".join(f'<th scope="col">{name}</th>' for name in head)
    return (
        f'<div class="scroll" tabindex="0" role="region" '
        f'aria-label="{caption}"><table><caption>{caption}</caption>'
        f"<thead><tr>{cells}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>\n"
    )
