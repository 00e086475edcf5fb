"""Built pages that are light, accessible, and lead to the clean sources."""

import functools
import os
import re
from pathlib import Path

from docutils import nodes
from sphinx import addnodes

from ptq import paths

# The icons are in the theme's style sheet as a font, too; the script that
# draws them once more is larger than all the rest of a page.
ICON_SCRIPT = re.compile(
    r'\s*<script[^>]* src="[^"]*scripts/fontawesome\.js[^"]*"></script>'
)
MATH_SCRIPT = re.compile(
    r"\s*<script(?: [^>]*mathjax[^>]*>|>window\.MathJax\b[^<]*)</script>"
)
NEEDS_MATH = ('class="math', "vnd.jupyter.widget")
# Until its own script has run, the theme's first visit is neither light nor
# dark: it lacks colours, code lacks its border, and text moves when it comes.
FIRST_THEME = """
(({ dataset }) => {
  if (dataset.theme === "auto") dataset.theme =
    matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
})(document.documentElement);
"""
UNUSED = ("**/*.map", "_static/scripts/fontawesome.js*")
# What the WCAG finds amiss in the markup of the theme and of Sphinx.
REPAIRS = (
    # A name that lacks the text which is seen: the text is name enough.
    (r'(<summary) aria-label="[^"]*"', r"\1"),
    (
        r'(<button class="btn search-button-field[^>]*?)'
        r' title="[^"]*" aria-label="[^"]*"',
        r"\1",
    ),
    # A toggle of the sidebar, which is nothing but an icon.
    (
        r'(<summary)(><span class="toctree-toggle")',
        r'\1 aria-label="Pages of this part"\2',
    ),
    # The index of modules folds by an image; its size is that of the theme.
    (
        r'(<img src="_static/minus\.png")',
        r'\1 width="11" height="11"',
    ),
    # Tooltips of the three icons of which one is shown, read as text.
    (r'(<i class="theme-switch [^>]*?) title="[^"]*"', r"\1"),
    # A list whose members say that they are no list items.
    (
        r'(<div class="citation" id="[^"]*") role="doc-biblioentry"',
        r'\1 role="listitem"',
    ),
)


def follow_repository(app, config):
    """Show launch buttons where the public repository is known.

    It is the setting ``repository: url``, or else the repository whose
    GitHub workflow builds the site. The theme cannot do without one.
    """
    options = config.html_theme_options
    workflow = os.environ.get("GITHUB_REPOSITORY")
    if not options.get("repository_url") and workflow:
        options["repository_url"] = f"https://github.com/{workflow}"
    if not options.get("repository_url"):
        options.pop("launch_buttons", None)


def open_clean_sources(app, page, template, context, doctree):
    """Let launch buttons open ``notebooks/``, not the executed copies."""
    buttons = list(context.get("header_buttons", []))
    while buttons:
        button = buttons.pop()
        buttons += button.get("buttons", [])
        if "://" in button.get("url", ""):
            button["url"] = button["url"].replace(
                "book/chapters/", "notebooks/"
            )


@functools.cache
def titles_alone(env):
    """Tables of contents by page: titles, and what lists the pages below."""
    tables = {name: toc.deepcopy() for name, toc in env.tocs.items()}
    for title in [title for toc in tables.values() for title in toc]:
        inner = title[1:]
        below = [t for one in inner for t in one.findall(addnodes.toctree)]
        for one in inner:
            title.remove(one)
        if below:
            title += nodes.bullet_list("", *below)
    return tables


def list_pages_by_title(app, page, template, context, doctree):
    """Let the sidebar be made of titles alone.

    For each page Sphinx copies all headings and functions of the book, of
    which the theme keeps none: near half of the time of a build.
    """
    env, whole = app.env, context["toctree"]

    def toctree(**options):
        if not options.get("titles_only"):
            return whole(**options)
        tables, env.tocs = env.tocs, titles_alone(env)
        try:
            return whole(**options)
        finally:
            env.tocs = tables

    context["toctree"] = toctree


def drop_repeated_scripts(app, page, template, context, doctree):
    """Sphinx 7.4 emits inline scripts twice, which fails in the browser."""
    found = {}
    for script in context.get("script_files", []):
        attributes = getattr(script, "attributes", {})
        name = getattr(script, "filename", script) or ""
        found.setdefault((name, tuple(sorted(attributes.items()))), script)
    context["script_files"] = list(found.values())


def repair(html):
    """A page without what it does not need and what the WCAG finds amiss."""
    html = ICON_SCRIPT.sub("", html)
    if not any(mark in html for mark in NEEDS_MATH):
        html = MATH_SCRIPT.sub("", html)
    for pattern, replacement in REPAIRS:
        html = re.sub(pattern, replacement, html)
    return html


def finish(app, exception):
    """Repair all pages once they are written; drop files that none needs."""
    if exception or app.builder.format != "html":
        return
    for page in Path(app.outdir).rglob("*.html"):
        html = page.read_text(encoding="utf8")
        page.write_text(repair(html), encoding="utf8")
    for pattern in UNUSED:
        for path in Path(app.outdir).glob(pattern):
            path.unlink()
    # The download of a chapter, too, is its source, and far smaller.
    for copy in Path(app.outdir).glob("_sources/**/chapters/*.ipynb"):
        source = paths.REPOSITORY / "notebooks" / copy.name
        paths.write_whole(copy, source.read_bytes())


def setup(app):
    app.connect("config-inited", follow_repository)
    app.connect("html-page-context", drop_repeated_scripts, priority=950)
    app.connect("html-page-context", open_clean_sources, priority=950)
    app.connect("html-page-context", list_pages_by_title)
    app.connect("build-finished", finish)
    app.add_js_file(None, body=FIRST_THEME, priority=100)
    return {"version": "1", "parallel_read_safe": True}
