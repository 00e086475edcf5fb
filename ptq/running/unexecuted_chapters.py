"""The page of a chapter that this machine cannot execute."""

from pathlib import Path

import nbformat

from ptq.running import quoted_numbers

NOTE = """\
:::{{warning}}
This chapter was not executed here: {missing}. What its code would show is
missing, and numbers of its sentences are left out (…). The rows below are
those of the committed record; under them stand its commit, machine and date.
:::

{results}"""


def needs(source: Path) -> list[str]:
    """What a chapter needs of the machine, as its metadata says (``ptq``).

    They are names of ``parameters.NEEDS``. Raises OSError where the notebook
    cannot be read.
    """
    notebook = nbformat.read(source, as_version=4)
    return notebook.metadata.get("ptq", {}).get("needs", [])


def page(source: Path, missing: str, results: str) -> str:
    """The notebook ``source`` as text, with a note under its title.

    ``missing`` says what the machine lacks, ``results`` (MyST) what was
    measured elsewhere. ``unexecuted`` in the metadata tells the site that
    the page has no figures and tables to link to. Raises OSError where the
    notebook cannot be read.
    """
    notebook = nbformat.read(source, as_version=4)
    quoted_numbers.leave_out(notebook)
    for cell in notebook.cells:
        # Without its output, code that is left out would leave a gap.
        if "remove-input" in cell.metadata.get("tags", []):
            del cell.metadata["tags"]
    note = NOTE.format(missing=missing, results=results)
    told = nbformat.v4.new_markdown_cell(note, id="not-executed")
    notebook.cells.insert(1, told)
    notebook.metadata["ptq"] = {"unexecuted": True}
    return nbformat.writes(notebook) + "\n"
