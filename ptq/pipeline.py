"""Run the chapters through papermill, in order, redoing what changed."""

import ast
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import nbformat
import papermill
import yaml
from traitlets.config import Config

from ptq import (
    colophon,
    frontpage,
    measure,
    parameters,
    paths,
    prose,
    reference,
)
from ptq.experiment import DEFAULTS, checkpoint, package_hash, run_folder
from ptq.networks import card_path
from ptq.training import Recipe

SOURCES = paths.REPOSITORY / "notebooks"
PUBLISHED = paths.REPOSITORY / "book" / "chapters"
QUOTE = re.compile(r"\{eval\}`report\.quote\('(\w+):([^']+)'\)`([.)]?)")
WIDGETS = "application/vnd.jupyter.widget-state+json"


class ChapterFailed(RuntimeError):
    """A chapter stopped; names the cell and the executed copy."""


def chapters(only: tuple[str, ...] = ()) -> list[Path]:
    """Sources of the chapters, in order; ``only`` picks by number or name.

    Raises ParameterError, naming the chapters, where one is unknown.
    """
    found = sorted(SOURCES.glob("[0-9][0-9]_*.ipynb"))
    if not only:
        return found
    keys = {p: {p.stem.lstrip("0"), p.stem[:2].lstrip("0")} for p in found}
    for wanted in only:
        if not any(wanted.lstrip("0") in keys[path] for path in found):
            known = ", ".join(path.stem for path in found)
            raise parameters.ParameterError(
                f"{wanted}: no such chapter; expected a number or name of "
                f"{known}"
            )
    return [p for p in found if keys[p] & {w.lstrip("0") for w in only}]


def defaults(source: Path) -> dict:
    """Name to value of the chapter's parameters cell."""
    found = papermill.inspect_notebook(str(source))
    return {n: ast.literal_eval(p["default"]) for n, p in found.items()}


def preset(name: str) -> dict:
    """Parameters of ``notebooks/presets/NAME.yml``."""
    folder = SOURCES / "presets"
    path = folder / f"{name}.yml"
    if not path.exists():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.yml")))
        raise parameters.ParameterError(
            f"--preset {name}: no such preset; expected {known}"
        )
    return yaml.safe_load(path.read_text())


def resolve(sources: list[Path], values: dict) -> dict[Path, dict]:
    """Full parameters of each chapter, all of them checked.

    Raises ParameterError before anything ran.
    """
    own = {source: defaults(source) for source in sources}
    every = {name: v for d in own.values() for name, v in d.items()}
    parameters.check(values, every)
    return {
        source: d | {n: v for n, v in values.items() if n in d}
        for source, d in own.items()
    }


def run(
    run_dir: str = "",
    values: dict | None = None,
    only: tuple[str, ...] = (),
    force: bool = False,
) -> Path:
    """Execute chapters into a run folder; publish the default run's.

    A chapter whose source, package, parameters and versions are those of
    its last execution is left alone, unless ``force``. Returns the folder.
    """
    values = dict(values or {})
    if run_dir:
        values["run_dir"] = str(Path(run_dir).absolute())
    plan = resolve(chapters(only), values)
    folder = run_folder(DEFAULTS | values)
    manifest = _earlier_manifest(folder)
    now = {
        "parameters": values,
        "machine": measure.machine(),
        "versions": colophon.versions(),
    }
    for i, (source, given) in enumerate(plan.items(), 1):
        click.echo(f"[{i}/{len(plan)}] {source.stem} ", nl=False)
        copy = folder / "chapters" / source.name
        executed = _bring_up_to_date(
            source, given, copy, manifest["chapters"], force
        )
        if executed:
            # Load and versions are those of what was executed last.
            manifest = now | {"chapters": manifest["chapters"]}
            text = json.dumps(manifest, indent=1) + "\n"
            paths.write_whole(folder / "manifest.json", text)
        if folder == paths.run_folder():
            paths.write_whole(PUBLISHED / copy.name, copy.read_bytes())
    if folder == paths.run_folder():
        generated = PUBLISHED.parent / "_generated"
        colophon.write(folder, generated)
        if (folder / "comparison.csv").exists():
            frontpage.write_headline(folder, generated)
    return folder


def _bring_up_to_date(
    source: Path, values: dict, copy: Path, done: dict, force: bool
) -> bool:
    """Execute a chapter, unless ``done`` tells that nothing has changed."""
    text = source.read_text()
    known = done.get(source.stem, {}).get("fingerprint")
    found = _fingerprint(text, values, _timed_before(source, done))
    if copy.exists() and not force and known == found:
        click.echo("is up to date")
        return False
    click.echo("...")
    # What a failure leaves behind is not the result of the last success.
    copy.unlink(missing_ok=True)
    started = time.time()
    execute(source, values, copy)
    seconds = round(time.time() - started, 1)
    click.echo(f"      done in {seconds} s")
    done[source.stem] = {
        # Taken now, for the chapter may have trained a new network.
        "fingerprint": _fingerprint(
            text, values, _timed_before(source, done)
        ),
        "commit": commit(),
        "seconds": seconds,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    return True


def execute(
    source: Path,
    values: dict,
    target: Path,
    timeout: int | None = None,
    quiet: bool = False,
) -> None:
    """Execute one chapter; only a whole copy lands at ``target``.

    ``timeout`` limits the seconds of each cell; ``quiet`` keeps progress
    and the chapter's stderr off the terminal. Raises ChapterFailed; what was
    executed then lies beside the target as ``NAME.failed.ipynb``.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    failed = target.with_suffix(".failed.ipynb")
    temporary = target.with_suffix(".running.ipynb")
    try:
        notebook = _papermill(source, values, temporary, timeout, quiet)
        _check_whole(notebook)
        _fill_in(notebook)
    except Exception as error:
        if temporary.exists():
            temporary.replace(failed)
        raise ChapterFailed(
            f"{source.name} failed:\n{error}\nexecuted so far: {failed}"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    _lift(notebook)
    _scrub(notebook, source)
    paths.write_whole(target, _with_steady_ids(notebook, source) + "\n")
    failed.unlink(missing_ok=True)


def _papermill(
    source: Path, values: dict, target: Path, timeout: int | None, quiet: bool
):
    # No ports, and sockets in a folder of their own (jupyter's default is
    # the working one): kernels that start at once cannot race for either.
    with tempfile.TemporaryDirectory(prefix="ptq-") as folder:
        kernel = {"transport": "ipc", "ip": f"{folder}/kernel"}
        return papermill.execute_notebook(
            str(source),
            str(target),
            parameters=values,
            kernel_name="python3",
            progress_bar=not quiet and sys.stderr.isatty(),
            stderr_file=None if quiet else sys.stderr,
            execution_timeout=timeout,
            # A large figure on a busy machine is late, not lost.
            iopub_timeout=60,
            config=Config({"KernelManager": kernel}),
        )


def _check_whole(notebook) -> None:
    # A dead kernel or sys.exit leaves cells that papermill calls completed.
    for cell in notebook.cells:
        is_code = cell.cell_type == "code" and cell.source.strip()
        if is_code and not cell.execution_count:
            raise RuntimeError(f"cell {cell.id} did not run to its end")


def _fill_in(notebook) -> None:
    """Write numbers into the sentences that quote them, and keep them."""
    noted = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            noted |= output.get("metadata", {}).get("noted", {})
    texts = [c for c in notebook.cells if c.cell_type == "markdown"]
    for cell in texts:
        quoted = {name for name, _, _ in QUOTE.findall(cell.source)}
        if unknown := sorted(quoted - noted.keys()):
            raise RuntimeError(
                f"cell {cell.id} quotes {', '.join(unknown)}; expected names "
                "that a report.note of the chapter has"
            )
        cell.source = QUOTE.sub(
            lambda quote: _in_markdown(noted, *quote.groups()), cell.source
        )
    notebook.metadata["ptq"] = {"noted": noted}


def _in_markdown(noted: dict, name: str, form: str, end: str) -> str:
    # A number with a point behind it may begin an item of a list.
    text = prose.escaped(prose.written(noted[name], form))
    return f"{text}\\{end}" if end else text


def _lift(notebook) -> None:
    """Captions and alt texts that code made: to where the book reads them."""
    for cell in notebook.cells:
        outputs = cell.get("outputs", [])
        for output in outputs:
            facts = output.get("metadata", {}).get("ptq")
            if isinstance(facts, dict):
                caption = {"caption": facts["caption"], "name": facts["name"]}
                own = cell.metadata.get("mystnb", {})
                cell.metadata["mystnb"] = own | {
                    "figure": caption,
                    "image": {"alt": facts["alt"]},
                }
        if outputs:
            cell.outputs = [o for o in outputs if not _for_lab_only(o)]


def _for_lab_only(output) -> bool:
    """A caption shown as text, or a progress bar."""
    is_bar = output.get("name") == "stderr" and "\r" in output.get("text", "")
    return output.get("metadata", {}).get("ptq") == "caption" or is_bar


def _scrub(notebook, source: Path) -> None:
    """Drop times and paths, which change at each run and mean nothing."""
    for cell in notebook.cells:
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
    notebook.metadata["papermill"] = {
        "input_path": f"notebooks/{source.name}",
        "parameters": notebook.metadata.papermill.parameters,
        "version": notebook.metadata.papermill.version,
    }


def _with_steady_ids(notebook, source: Path) -> str:
    """The notebook as text, its widgets numbered: ids are drawn at random."""
    widgets = notebook.metadata.get("widgets", {}).get(WIDGETS, {})
    text = nbformat.writes(notebook)
    for i, drawn in enumerate(widgets.get("state", {})):
        steady = hashlib.sha256(f"{source.stem}-{i}".encode()).hexdigest()
        text = text.replace(drawn, steady[:32])
    # Written once more, for the ids decide the order of the widgets.
    return nbformat.writes(nbformat.reads(text, as_version=4))


def _timed_before(source: Path, done: dict) -> list[str]:
    """When the earlier chapters ran whose timings a chapter names."""
    text = source.read_text()
    return [
        f"{name} {told['finished']}"
        for name, told in sorted(done.items())
        if name < source.stem and f"{name}_" in text
    ]


def _fingerprint(text: str, values: dict, timed: list[str]) -> str:
    """What an execution depends on: source, values, code, data it reads."""
    machine = measure.machine()
    recipe = Recipe(values["train_seed"], values["epochs"])
    trained = checkpoint(recipe, run_folder(values) / "models")
    content = json.dumps(
        [
            text,
            values,
            timed,
            package_hash(),
            [path.read_text() for path in reference.files()],
            trained and card_path(trained).read_text(),
            [machine[k] for k in ("processor", "python", "torch")],
        ]
    )
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _earlier_manifest(folder: Path) -> dict:
    """What the run folder tells of its last execution."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        return manifest | {"chapters": dict(manifest["chapters"])}
    except (OSError, ValueError, TypeError, KeyError):
        return {"chapters": {}}


def commit() -> str:
    """The commit that runs, with a mark where the tree differs from it."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        found = subprocess.run(
            command, cwd=paths.REPOSITORY, capture_output=True, text=True
        )
    except OSError:
        return "unknown"
    return found.stdout.strip() or "unknown"
