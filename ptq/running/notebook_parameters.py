"""The parameters that a notebook sets in its cell tagged ``parameters``."""

import ast
import json
from pathlib import Path

import nbformat

from ptq.experiment import parameters

# What sets its own name only, and what has names of its own only.
NAMED = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
INNER = (
    ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
)


def defaults(source: Path) -> dict:
    """Name to value of the literals in a notebook's parameters cell.

    A value that JSON cannot hold, such as a set, is no parameter, nor what a
    later line sets otherwise: the injected default would undo that. Raises
    ParameterError if the file is no Python notebook or has not one code cell
    tagged ``parameters``, and OSError if it cannot be read.
    """
    found = {}
    for line in _lines(source):
        if known := _literal(line):
            found |= dict([known])
        else:
            found = {n: v for n, v in found.items() if n not in _set(line)}
    return found


def others(source: Path, known: dict) -> set[str]:
    """Names that the parameters cell sets to what is no parameter.

    ``known`` are the notebook's ``defaults``; errors are as of these.
    """
    stored = {name for line in _lines(source) for name in _set(line)}
    return stored - known.keys()


def _set(node: ast.AST) -> set[str]:
    """The names that a statement sets, changes or deletes where it stands."""
    if isinstance(node, NAMED):
        return {node.name}
    if isinstance(node, INNER):
        return set()
    if isinstance(node, ast.AnnAssign) and node.value is None:
        return set()
    found = set()
    if isinstance(node, ast.alias):
        found = {(node.asname or node.name).partition(".")[0]}
    if isinstance(node, ast.ExceptHandler) and node.name:
        found = {node.name}
    if not isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
        while isinstance(node, ast.Subscript | ast.Attribute):
            node = node.value
        found = {node.id} if isinstance(node, ast.Name) else set()
    return found.union(*map(_set, ast.iter_child_nodes(node)))


def _lines(source: Path) -> list[ast.stmt]:
    """The statements of the parameters cell."""
    tagged = [cell for cell in _python(source).cells if _is_tagged(cell)]
    if len(tagged) > 1:
        raise parameters.ParameterError(
            f"{source.name} has {len(tagged)} cells tagged parameters: "
            "expected one, for what a later one sets would hold"
        )
    if not tagged:
        raise parameters.ParameterError(
            f"{source.name} has no cell tagged parameters; tag the one that "
            "sets them: in JupyterLab select it, open the Property Inspector "
            "(the gear wheels on the right) and add the cell tag parameters"
        )
    try:
        return ast.parse(tagged[0].source).body
    except SyntaxError as error:
        raise parameters.ParameterError(
            f"{source.name}: the cell tagged parameters is not plain Python "
            f"({error}); expected lines of NAME = VALUE"
        ) from error


def _is_tagged(cell) -> bool:
    tags = cell.metadata.get("tags")
    is_code = cell.cell_type == "code"
    return is_code and isinstance(tags, list) and "parameters" in tags


def _python(source: Path):
    """The notebook in a file, which must be one for a Python kernel."""
    try:
        text = source.read_text(encoding="utf-8")
        notebook = nbformat.reads(text, as_version=4)
        kernel = notebook.metadata.get("kernelspec") or {}
        told = notebook.metadata.get("language_info") or {}
        language = kernel.get("language") or told.get("name") or "python"
        language = str(language)
        _check_cells(notebook)
    except OSError:
        raise
    except Exception as error:  # what nbformat raises depends on the damage
        raise parameters.ParameterError(
            f"{source.name} is not a notebook: {str(error)[:200]}"
        ) from error
    if language.lower() != "python":
        raise parameters.ParameterError(
            f"{source.name} is written in {language}; expected Python"
        )
    return notebook


def _check_cells(notebook) -> None:
    """Raise ValueError where cells are damaged; nbformat does not."""
    cells = notebook.cells
    for cell in cells if isinstance(cells, list) else [None]:
        kinds = {"cell_type": str, "metadata": dict, "source": str}
        if not isinstance(cell, dict) or not all(
            isinstance(cell.get(key), kind) for key, kind in kinds.items()
        ):
            raise ValueError("a cell has no type, metadata or source")


def _literal(line: ast.stmt) -> tuple | None:
    """Name and value of an assignment of a literal, else None."""
    if isinstance(line, ast.Assign) and len(line.targets) == 1:
        target = line.targets[0]
    elif isinstance(line, ast.AnnAssign) and line.value:
        target = line.target
    else:
        return None
    try:
        found = target.id, ast.literal_eval(line.value)
        json.dumps(found)
    except (AttributeError, ValueError, TypeError):
        return None
    return found
