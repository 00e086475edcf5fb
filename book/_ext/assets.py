"""Scripts of others: from the site itself where `make` fetched them."""

from pathlib import Path

from sphinx.util import logging

from ptq.book.pages import site_assets

logger = logging.getLogger(__name__)


def use(app, config):
    """Point the pages to MathJax and to the script of the explorers."""
    path, attributes = _source(app, site_assets.MATHJAX)
    config.mathjax_path, config.mathjax_options = path, attributes
    path, attributes = _source(app, site_assets.HTML_MANAGER)
    # Both wait for the page; the repairs must be there before the script.
    defer = {"defer": "defer"}
    config.nb_ipywidgets_js = {
        "explorers.js": defer,
        path: defer | attributes,
    }


def _source(app, asset):
    static = Path(app.confdir) / "book" / "_static"
    if (static / asset.script).exists():
        return asset.script, {}
    logger.info("%s was not fetched: pages load %s", asset.script, asset.cdn)
    return asset.cdn, {
        "integrity": asset.integrity,
        "crossorigin": "anonymous",
    }


def setup(app):
    app.connect("config-inited", use)
    app.add_css_file("explorers.css")
    return {"version": "1", "parallel_read_safe": True}
