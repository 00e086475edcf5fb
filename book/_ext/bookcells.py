"""Code of the chapters: what is folded, by which name, and its equations."""

import ast
import re

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging

logger = logging.getLogger(__name__)
LABEL = re.compile(r"\((eq-[\w-]+)\)")
UNNAMED = "Show code cell"  # how MyST-NB's own words begin


class Folds(SphinxPostTransform):
    """Fold imports and checks; say of each fold what is in it."""

    default_priority = 150  # before MyST-NB folds what is to be folded
    formats = ("html",)

    def run(self, **kwargs):
        cells = [
            cell
            for cell in self.document.findall(nodes.container)
            if cell.get("nb_element") == "cell_code" and _source(cell)
        ]
        for i, cell in enumerate(cells):
            _leave_out_notes(_source(cell))
            if not cell.get("hide_mode") and _is_bookkeeping(cell):
                cell["hide_mode"] = "input"
                cell["prompt_show"] = UNNAMED
            if cell.get("prompt_show", "").startswith(UNNAMED):
                what = self._content(cell, cells[i:])
                cell["prompt_show"] = f"Show {what}"
                cell["prompt_hide"] = f"Hide {what}"

    def _content(self, cell, after) -> str:
        if _tagged(cell, "explorer"):
            return "the code of the explorer"
        if drawn := self._drawn(cell):
            return f"the code of {drawn}"
        if _tagged(cell, "check"):
            return "the check"
        code = _source(cell).rawsource
        if _only_imports(code):
            return "the imports"
        if "laboratory.opened(" in code:
            return "how data and network are opened"
        if drawn := next(filter(None, map(self._drawn, after)), None):
            return f"the preparation of {drawn}"
        return "the code of the numbers in the text"

    def _drawn(self, cell) -> str:
        """The first numbered figure or table among a cell's outputs."""
        numbers = self.env.toc_fignumbers.get(self.env.docname, {})
        for node in cell.findall(nodes.Element):
            kind = node.tagname
            for name in node.get("ids", []):
                if number := numbers.get(kind, {}).get(name):
                    return f"{kind} {'.'.join(map(str, number))}"
        return ""


def _source(cell):
    """The code of a cell; None where it is not shown."""
    first = cell.children[0] if cell.children else {}
    if first.get("nb_element") == "cell_code_source":
        return first.next_node(nodes.literal_block)
    return None


def _tagged(cell, tag: str) -> bool:
    return f"tag_{tag}" in cell["classes"]


def _is_bookkeeping(cell) -> bool:
    return _tagged(cell, "check") or _only_imports(_source(cell).rawsource)


def _only_imports(code: str) -> bool:
    try:
        body = ast.parse(code).body
    except SyntaxError:  # a line for IPython
        return False
    return all(isinstance(s, ast.Import | ast.ImportFrom) for s in body)


def _leave_out_notes(source) -> None:
    """Show no ``show.note(...)``, which only keeps numbers for the text."""
    lines = source.rawsource.splitlines()
    try:
        body = ast.parse(source.rawsource).body
    except SyntaxError:
        return
    for statement in reversed(body):
        if ast.unparse(statement).startswith("show.note("):
            del lines[statement.lineno - 1 : statement.end_lineno]
    text = "\n".join(lines).strip("\n")
    if text and text != source.rawsource.strip("\n"):
        source.rawsource = text
        source.children = [nodes.Text(text)]


class Equations(SphinxPostTransform):
    """Make the label of an equation in shown code a link to the equation."""

    default_priority = 950
    formats = ("html",)

    def run(self, **kwargs):
        for block in list(self.document.findall(nodes.literal_block)):
            language = block.get("language", "")
            if LABEL.search(block.astext()) and "python" in language:
                self._replace(block)

    def _replace(self, block):
        code = self.app.builder.highlighter.highlight_block(
            block.astext(), "python", location=block
        )
        linked = LABEL.sub(lambda found: self._link(found[1], block), code)
        html = f'<div class="highlight-python notranslate">{linked}</div>'
        shown = nodes.raw("", html, format="html")
        block.replace_self(shown)

    def _link(self, label: str, block) -> str:
        found = self.env.get_domain("math").resolve_xref(
            self.env,
            self.env.docname,
            self.app.builder,
            "eq",
            label,
            None,
            nodes.inline(),
        )
        if found is None:
            logger.warning("no equation %s", label, location=block)
            return f"({label})"
        address = found.get("refuri") or f"#{found['refid']}"
        return f'<a href="{address}">{found.astext()}</a>'


def setup(app):
    app.add_post_transform(Folds)
    app.add_post_transform(Equations)
    app.add_js_file("folds.js", loading_method="defer")
    return {"version": "1", "parallel_read_safe": True}
