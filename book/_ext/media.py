"""Figures for a light page and a dark one, and as files."""

import re
from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.osutil import relative_uri

from ptq import paths
from ptq.book.style import dark, dark_sheet

SIZE = r'<svg [^>]*?width="([\d.]+)pt"[^>]*?height="([\d.]+)pt"|'
SIZE += r'<svg [^>]*?height="([\d.]+)pt"[^>]*?width="([\d.]+)pt"'


class Serving(SphinxPostTransform):
    """A transform that writes files beside the pages."""

    formats = ("html",)

    def serve(self, name: str, content: str | bytes) -> str:
        """Write a file of this page into the site; its address from here."""
        page, builder = self.env.docname, self.app.builder
        place = f"_downloads/{page.removeprefix('book/')}/{name}"
        paths.write_whole(Path(builder.outdir) / place, content)
        here = builder.get_target_uri(page).partition("#")[0]
        return relative_uri(here, place)

    def offer(self, node, files: dict[str, str], what: str) -> None:
        """Put links for download behind a node, by the kind of file."""
        links = " · ".join(
            f'<a href="{address}" download>{kind}'
            f'<span class="visually-hidden"> of {escape(what)}</span></a>'
            for kind, address in files.items()
        )
        offered = nodes.raw("", f'<p class="downloads">{links}</p>')
        offered["format"] = "html"
        node.parent.insert(node.parent.index(node) + 1, offered)


class Figures(Serving):
    """Show an SVG in the inks of the page's theme; offer it, and its PNG."""

    default_priority = 3  # before myst-nb chooses among a figure's images

    def run(self, **kwargs):
        for figure in list(self.document.findall(nodes.figure)):
            for image in list(figure.findall(nodes.image)):
                if image["uri"].endswith(".svg"):
                    self._replace(figure, image)

    def _replace(self, figure, image):
        source = Path(self.app.srcdir) / image["uri"]
        name = figure["names"][0] if figure["names"] else source.stem
        name = name.removeprefix("fig-")
        svg = source.read_text(encoding="utf8")
        light = self.serve(f"{name}.svg", svg)
        night = self.serve(f"{name}-dark.svg", dark(svg))
        files = {"SVG": light}
        for png in self._pngs(figure, source):
            files["PNG"] = self.serve(f"{name}.png", png.read_bytes())
        shown = nodes.raw("", _pair(light, night, image.get("alt", ""), svg))
        shown["format"] = "html"
        figure[0].replace_self(shown)
        self.offer(figure, files, f"the figure {name.replace('-', ' ')}")

    def _pngs(self, figure, source):
        """The same image as PNG: of the output, or beside the file."""
        given = [
            Path(self.app.srcdir) / image["uri"]
            for image in figure.findall(nodes.image)
        ]
        beside = source.with_suffix(".png")
        return [p for p in (*given, beside) if p.suffix == ".png"][:1]


def _pair(light: str, night: str, alt: str, svg: str) -> str:
    found = re.search(SIZE, svg)
    size = ""
    if found:
        width, height = found[1] or found[4], found[2] or found[3]
        size = "".join(
            f' {side}="{float(points) * 4 / 3:.0f}"'
            for side, points in (("width", width), ("height", height))
        )
    pair = "".join(
        f'<img class="only-{theme}" src="{address}" alt="{escape(alt)}"'
        f'{size} loading="lazy">'
        for theme, address in (("light", light), ("dark", night))
    )
    # In a box of its own: the theme would hide a caption beside the pair.
    return f'<div class="drawing">{pair}</div>'


def write_inks(app):
    """Serve the inks of a dark page, for what is drawn in variables."""
    if app.builder.format == "html":
        paths.write_whole(
            Path(app.outdir) / "_static" / "inks.css", dark_sheet()
        )


def setup(app):
    app.add_post_transform(Figures)
    app.connect("builder-inited", write_inks)
    app.add_css_file("inks.css")
    app.add_css_file("media.css")
    app.add_js_file("scrolling.js", loading_method="defer")
    return {"version": "1", "parallel_read_safe": True}
