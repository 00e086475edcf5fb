"""Captions that JupyterLab shows, and targets' titles."""

from IPython.display import display

KINDS = {"fig": "Figure", "tab": "Table", "eq": "Equation"}
FOR_NOTEBOOKS = {"ptq": "caption"}


def title(label: str) -> str:
    """What notebooks call the target of a label, which have no numbers.

    ``title("tab-few-images")`` is "Table “few images”".
    """
    kind, _, name = label.partition("-")
    return f"{KINDS[kind]} “{name.replace('-', ' ')}”"


def caption(label: str, text: str) -> None:
    """Display a caption in notebooks; the book's pages have their own."""
    told = f"{title(label)}: {text}"
    display(
        {"text/markdown": f"*{told}*", "text/plain": told},
        raw=True,
        metadata=FOR_NOTEBOOKS,
    )
