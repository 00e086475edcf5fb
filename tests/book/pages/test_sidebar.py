"""What the sidebar of the site is made of."""

import runpy
from types import SimpleNamespace

from docutils import nodes
from sphinx import addnodes

from ptq import paths

EXTENSION = paths.REPOSITORY / "book" / "_ext" / "booksite.py"


class Env(SimpleNamespace):
    __hash__ = object.__hash__


def item(title, *inside):
    heading = addnodes.compact_paragraph("", "", nodes.reference("", title))
    below = [nodes.bullet_list("", *inside)] if inside else []
    return nodes.list_item("", heading, *below)


def test_titles_and_lists_of_pages_stay_alone():
    first, second, outside = (
        addnodes.toctree(entries=[("", name)]) for name in "abc"
    )
    inner = item("section", item("function"), second)
    tables = {
        "page": nodes.bullet_list("", item("Page", first, inner)),
        "api": nodes.bullet_list("", item("API", item("function"))),
        "bare": nodes.bullet_list("", item("Bare"), outside),
    }
    env = Env(tocs=tables)
    found = runpy.run_path(str(EXTENSION))["titles_alone"](env)
    told = {
        name: [
            node["entries"][0][1] if "entries" in node else node.astext()
            for node in toc.findall(
                lambda node: isinstance(
                    node, addnodes.toctree | nodes.reference
                )
            )
        ]
        for name, toc in found.items()
    }
    assert told == {
        "page": ["Page", "a", "b"],
        "api": ["API"],
        "bare": ["Bare", "c"],
    }
    # The contents of a page itself stay whole.
    assert "section" in tables["page"].astext()
