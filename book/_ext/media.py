"""Figures for a light page and a dark one; figures and tables as files."""

import csv
import io
import re
from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.osutil import relative_uri

from ptq import paths
from ptq.figures import dark, dark_sheet

LONG = 6  # rows from which on a table is worth sorting
SIZE = r'<svg [^>]*?width="([\d.]+)pt"[^>]*?height="([\d.]+)pt"|'
SIZE += r'<svg [^>]*?height="([\d.]+)pt"[^>]*?width="([\d.]+)pt"'


class _Serving(SphinxPostTransform):
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


class Figures(_Serving):
    """Show an SVG in the inks of the page's theme; offer it, and its PNG."""

    default_priority = 3  # before myst-nb chooses among a figure's pictures

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
        """The same picture as PNG: of the output, or beside the file."""
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


class Tables(_Serving):
    """Offer a numbered table as CSV; mark a long one for sorting."""

    default_priority = 900  # when every quoted number is in its cell

    def run(self, **kwargs):
        for table in list(self.document.findall(nodes.table)):
            if not (table["names"] and table.next_node(nodes.title)):
                continue
            name = table["names"][0].removeprefix("tab-")
            content = io.StringIO()
            csv.writer(content, lineterminator="\n").writerows(
                [_plain(cell.astext()) for cell in row.findall(nodes.entry)]
                for row in table.findall(nodes.row)
            )
            body = next(table.findall(nodes.tbody))
            if len(body) >= LONG:
                table["classes"].append("sortable")
            files = {"CSV": self.serve(f"{name}.csv", content.getvalue())}
            self.offer(table, files, f"the table {name.replace('-', ' ')}")


def _plain(text: str) -> str:
    """A cell's text; of a number, what any program reads as one."""
    text = text.strip().replace("\u2212", "-")
    if re.fullmatch(r"[-+]?\d{1,3}(,\d{3})+(\.\d+)?", text):
        return text.replace(",", "")
    return text


def write_inks(app):
    """Serve the inks of a dark page, for what is drawn in variables."""
    if app.builder.format == "html":
        paths.write_whole(
            Path(app.outdir) / "_static" / "inks.css", dark_sheet()
        )


def setup(app):
    app.add_post_transform(Figures)
    app.add_post_transform(Tables)
    app.connect("builder-inited", write_inks)
    app.add_css_file("inks.css")
    app.add_css_file("media.css")
    app.add_js_file("tables.js", loading_method="defer")
    return {"version": "1", "parallel_read_safe": True}
