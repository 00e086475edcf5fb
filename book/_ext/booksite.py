"""Built pages that are light, accessible, and lead to the clean sources."""

import os
import re
from pathlib import Path
from xml.etree import ElementTree

from PIL import Image

# The icons are in the theme's style sheet as a font, too; the script that
# draws them once more is larger than all the rest of a page.
ICON_SCRIPT = re.compile(
    r'\s*<script[^>]* src="[^"]*scripts/fontawesome\.js[^"]*"></script>'
)
MATH_SCRIPT = re.compile(
    r"\s*<script(?: [^>]*mathjax[^>]*>|>window\.MathJax\b[^<]*)</script>"
)
NEEDS_MATH = ('class="math', "vnd.jupyter.widget")
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
    # Tooltips of the three icons of which one is shown, read as text.
    (r'(<i class="theme-switch [^>]*?) title="[^"]*"', r"\1"),
    # A list whose members say that they are no list items.
    (
        r'(<div class="citation" id="[^"]*") role="doc-biblioentry"',
        r'\1 role="listitem"',
    ),
)
IMAGE = re.compile(r'<img(?![^>]* width=)([^>]*? src="([^"]+)"[^>]*?)/?>')
POINTS = {"pt": 96 / 72, "in": 96, "px": 1, "": 1}


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


def size_images(app, page, template, context, doctree):
    """State the size of each picture, so that no text moves when it loads."""
    files = {name: path for path, name in app.builder.images.items()}

    def sized(match):
        path = files.get(match[2].rsplit("/", 1)[-1])
        if path is None:
            return match[0]
        width, height = image_size(Path(app.srcdir) / path)
        return f'<img width="{width}" height="{height}"{match[1]}/>'

    context["body"] = IMAGE.sub(sized, context.get("body", ""))


def image_size(path):
    """Width and height of a picture in pixels of the page."""
    if path.suffix != ".svg":
        with Image.open(path) as picture:
            return picture.size
    root = ElementTree.parse(path).getroot()
    sides = []
    for side in ("width", "height"):
        number, unit = re.fullmatch(r"([\d.]+)(\D*)", root.get(side)).groups()
        sides.append(round(float(number) * POINTS[unit]))
    return tuple(sides)


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


def setup(app):
    app.connect("config-inited", follow_repository)
    app.connect("html-page-context", size_images, priority=950)
    app.connect("html-page-context", open_clean_sources, priority=950)
    app.connect("build-finished", finish)
    return {"version": "1", "parallel_read_safe": True}
