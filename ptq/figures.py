"""The house style of figures, and how they are saved and shown."""

import base64
import io
from pathlib import Path

import matplotlib as mpl
from IPython.display import display
from matplotlib.figure import Figure

from ptq import paths

STYLE = {
    "figure.dpi": 120,
    "savefig.dpi": 200,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "legend.frameon": False,
    "svg.hashsalt": "ptq",
}
# Okabe and Ito's palette, told apart by colour-blind readers; the markers
# tell the strategies apart in grey print.
COLOURS = {
    "fp32": "#333333",
    "fp32_folded": "#999999",
    "fp32_channels_last": "#8c6d46",
    "naive": "#e69f00",
    "bias_correction_published": "#cc79a7",
    "bias_correction": "#882255",
    "folded": "#0072b2",
    "folded_fused": "#56b4e9",
    "mixed_precision_published": "#009e73",
    "mixed_precision_folded": "#d55e00",
}
MARKERS = dict(zip(COLOURS, "os<P^vDXhd", strict=True))
BEFORE, AFTER, NEUTRAL = "#d55e00", "#0072b2", "#666666"


def figure(width: float = 7.0, height: float = 3.4, **grid):
    """A figure of the house style, outside pyplot's global state."""
    with mpl.rc_context(STYLE):
        made = Figure(figsize=(width, height), layout="constrained")
        return made, made.subplots(**grid)


def show(
    made: Figure, folder: Path, name: str, caption: str, alt: str
) -> None:
    """Save as SVG and PNG in ``folder`` and display with caption and alt.

    ``name`` is the file's stem and, as ``fig-name``, the book's label.
    """
    pictures = {}
    for kind in ("svg", "png"):
        buffer = io.BytesIO()
        extra = {"Date": None} if kind == "svg" else {}
        with mpl.rc_context(STYLE):
            made.savefig(buffer, format=kind, metadata=extra)
        pictures[kind] = buffer.getvalue()
        paths.write_whole(folder / f"{name}.{kind}", pictures[kind])
    facts = {"caption": caption, "alt": alt, "name": f"fig-{name}"}
    bundle = {
        "image/svg+xml": pictures["svg"].decode(),
        "image/png": base64.b64encode(pictures["png"]).decode(),
        "text/plain": alt,
    }
    display(bundle, raw=True, metadata={"ptq": facts})
    # JupyterLab shows no caption of its own; the book's copy drops this.
    display(
        {"text/markdown": f"*{caption}*", "text/plain": caption},
        raw=True,
        metadata={"ptq": "caption"},
    )
