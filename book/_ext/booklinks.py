"""The links of the notebooks, which any viewer follows, as MyST's roles.

A notebook links by file and cell, as JupyterLab does. On a page a figure has
a number, a section a place, a work its entry among the references:

- ``[Figure “x”](06_y.ipynb#cell-id=fig-x)``: its number; so for ``tab-x``
- ``[words](#cell-id=sec-x)``: the section; ``[words](04_x.ipynb)`` a chapter
- ``[words](#cell-id=any "eq-x")``: by the label where the cell has another id
- ``[Jacob et al. (2018)](https://… "jacob2018")``: a citation
- ``[words](<../book/glossary.md#some term>)``: the term of the glossary
- ``[a minute](../book/machine.md#sec-run-times)``: the chapter's run time
- ``[words](../book/x.md)``: the page

A chapter that was not executed here has no figures, tables and run time: a
link to them is its words.
"""

import functools
import json
import re
from pathlib import Path

LINK = re.compile(
    r"""(?<!!)\[(?P<words>[^\[\]]+)\]
    \((?:<(?P<wide>[^<>]*)>|(?P<tight>[^\s()]*))(?:\s+"(?P<title>[^"]*)")?\)
    """,
    re.VERBOSE,
)
LABEL = re.compile(r"(fig|tab|eq|sec)-[\w-]+")
WORK = re.compile(r"[a-z]+\d{4}[a-z]?")
NUMBERED = {"fig": "numref", "tab": "numref", "eq": "eq"}


def role(link, page):
    """What the book writes for a link of the notebook at ``page``."""
    words, title = link["words"], link["title"] or ""
    path, _, place = (link["wide"] or link["tight"]).partition("#")
    target = page.parent / path if path.endswith(".ipynb") else page
    label = title or place.removeprefix("cell-id=")
    kind = label.partition("-")[0]
    lost = kind in ("fig", "tab") or place == "sec-run-times"
    if lost and unexecuted(target):
        return words
    page = re.sub(r"^\.\./book/", "../", path)
    if page == "../glossary.md":
        return f"{{term}}`{words} <{place}>`"
    if page == "../machine.md" and place == "sec-run-times":
        return f"{{run-time}}`{words}`"
    if known := LABEL.fullmatch(label):
        if kind := NUMBERED.get(known[1]):
            return f"{{{kind}}}`{label}`"
        return f"{{ref}}`{words} <{label}>`"
    if WORK.fullmatch(title):
        kind = "cite" if words.startswith("(") else "cite:t"
        return f"{{{kind}}}`{title}`"
    return f"[{words}]({page})" if page != path else link[0]


@functools.cache
def unexecuted(notebook):
    """Whether a chapter was not executed, as its metadata says."""
    if not notebook.is_file():
        return False
    facts = json.loads(notebook.read_text())["metadata"].get("ptq", {})
    return facts.get("unexecuted", False)


def rewrite(app, docname, source):
    """Give the links of a notebook's texts the form of the book."""
    page = Path(app.env.doc2path(docname))
    if page.suffix != ".ipynb":
        return
    unexecuted.cache_clear()
    written = functools.partial(role, page=page)
    notebook = json.loads(source[0])
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = LINK.sub(written, "".join(cell["source"]))
    source[0] = json.dumps(notebook)


def setup(app):
    app.connect("source-read", rewrite)
    return {"version": "1", "parallel_read_safe": True}
