"""What the pages say with the help of the package and of the last run."""

import json
import re
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform
from sphinx.util.docutils import SphinxRole

SECONDS = "book/_generated/seconds.json"


class RunTime(SphinxRole):
    """How long this chapter ran; the role's text is for JupyterLab only."""

    def run(self):
        path = Path(self.env.app.confdir) / SECONDS
        self.env.note_dependency(str(path))
        try:
            seconds = json.loads(path.read_text())
            text = _spoken(seconds[Path(self.env.docname).name])
        except (OSError, KeyError) as error:
            message = f"no run time of {self.env.docname}: {error!r}"
            return [], [self.inliner.reporter.error(message)]
        target = addnodes.pending_xref(
            text,
            nodes.inline(text, text),
            refdomain="std",
            reftype="ref",
            reftarget="sec-run-times",
            refexplicit=True,
            refwarn=True,
            refdoc=self.env.docname,
        )
        return [target], []


def _spoken(seconds):
    if seconds < 100:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes"


class IndexTerms(SphinxTransform):
    """Let the index lead to where a term of the glossary is first used.

    Options of commands stay out of it: their entries are mostly prefix.
    """

    # Before Sphinx collects what goes into the index.
    default_priority = 500

    def apply(self):
        for node in self.document.findall(addnodes.index):
            node["entries"] = [
                e
                for e in node["entries"]
                if "command line option" not in e[1]
            ]
        used = set()
        for link in list(self.document.findall(addnodes.pending_xref)):
            term = link["reftarget"]
            if link["reftype"] != "term" or term in used:
                continue
            used.add(term)
            place = f"index-term-{len(used)}"
            entry = addnodes.index(
                entries=[("single", term, place, "", None)]
            )
            at = link.parent.index(link)
            target = nodes.target("", "", ids=[place])
            link.parent[at:at] = [entry, target]


def list_index(app, doctree):
    """Let the sidebar end with the index, which has no source file."""
    tables = list(doctree.findall(addnodes.toctree))
    if tables and app.env.docname == app.config.root_doc:
        tables[-1]["entries"].append((None, "genindex"))


def link_equations(app, what, name, obj, options, lines):
    """Make an equation's label in a docstring a link to the equation."""
    lines[:] = [re.sub(r"\((eq-[\w-]+)\)", r":eq:`\1`", x) for x in lines]


def setup(app):
    app.add_role("run-time", RunTime())
    app.add_transform(IndexTerms)
    # Before Sphinx collects the tables of contents.
    app.connect("doctree-read", list_index, priority=400)
    app.connect("autodoc-process-docstring", link_equations)
    return {"version": "1", "parallel_read_safe": True}
