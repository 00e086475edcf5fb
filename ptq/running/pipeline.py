"""Run the chapters in order, redoing what changed."""

import json
import re
import shutil
import subprocess
import time
from importlib import metadata
from pathlib import Path

import click

from ptq import paths
from ptq.experiment import (
    committed_sweeps,
    parameters,
    run_times,
    source_hash,
)
from ptq.experiment.parameters import DEFAULTS, run_folder
from ptq.measure import host
from ptq.networks import checkpoints
from ptq.networks.recipes import Recipe
from ptq.running import locks, plain_yaml, unexecuted_chapters
from ptq.running.execution import execute
from ptq.running.notebook_parameters import defaults

SOURCES = paths.REPOSITORY / "notebooks"
PUBLISHED = paths.REPOSITORY / "book" / paths.CHAPTERS


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


def preset(name: str) -> dict:
    """Parameters of ``notebooks/presets/NAME.yml``.

    Raises ParameterError, naming the presets, where there is no such one,
    and where the file has faults.
    """
    folder = SOURCES / "presets"
    path = folder / f"{name}.yml"
    if not path.exists():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.yml")))
        raise parameters.ParameterError(
            f"--preset {name}: no such preset; expected {known}"
        )
    values, faults = plain_yaml.read(path)
    if faults or not isinstance(values, dict):
        told = "\n".join(faults or ["expected lines of NAME: VALUE"])
        raise parameters.ParameterError(f"{path}: {told}")
    return values


def resolve(sources: list[Path], values: dict) -> dict[Path, dict]:
    """Full parameters of each chapter, all of them checked.

    Raises ParameterError before anything ran.
    """
    own = {source: defaults(source) for source in sources}
    every = DEFAULTS | {n: v for d in own.values() for n, v in d.items()}
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
    anew: bool = False,
    results: str = "",
) -> Path:
    """Execute chapters into a run folder; publish those of the default run.

    Skips a chapter if its source, package, parameters and versions are the
    same as at its last execution, unless ``force``. With ``anew`` all times
    are measured again, and the chapters that quote them executed. A chapter
    that needs what this machine lacks is not executed: its page has
    ``results`` (MyST), which were measured elsewhere. Returns the folder.
    Raises ParameterError before anything ran, LockedError if another command
    fills the folder, ChapterFailed where a chapter stops, and OSError where
    the folder cannot be written; chapters that ended are kept.
    """
    values = dict(values or {})
    if run_dir:
        values["run_dir"] = str(Path(run_dir).absolute())
    folder = run_folder(DEFAULTS | values)
    if folder != paths.run_folder():
        # A chapter knows only some parameters, so it cannot name the folder.
        values["run_dir"] = str(folder)
    plan = resolve(chapters(only), values)
    with locks.folder(folder):
        # We hold the folder's lock, so a killed run left these.
        for left in (folder / paths.CHAPTERS).glob("*.running.ipynb"):
            left.unlink()
        if anew:
            shutil.rmtree(folder / paths.TIMINGS, ignore_errors=True)
        _execute_plan(plan, values, folder, force, results)
    return folder


def _execute_plan(
    plan: dict, values: dict, folder: Path, force: bool, results: str
):
    """Bring each chapter of the plan up to date in the run folder."""
    manifest = earlier(folder)
    now = {
        "parameters": values,
        "machine": host.machine(),
        "versions": versions(),
    }
    for i, (source, given) in enumerate(plan.items(), 1):
        click.echo(f"[{i}/{len(plan)}] {source.stem} ", nl=False)
        copy = folder / paths.CHAPTERS / source.name
        if missing := parameters.missing(unexecuted_chapters.needs(source)):
            click.echo(f"is not executed: {missing}")
            page = unexecuted_chapters.page(source, missing, results)
            paths.write_whole(copy, page)
            executed = manifest["chapters"].pop(source.stem, None)
        else:
            executed = _bring_up_to_date(
                source, given, copy, manifest["chapters"], force
            )
        if executed:
            # Load and versions are those of the last execution.
            manifest = now | {"chapters": manifest["chapters"]}
            paths.write_json(folder / paths.MANIFEST, manifest)
        if folder == paths.run_folder():
            paths.write_whole(PUBLISHED / copy.name, copy.read_bytes())


def _bring_up_to_date(
    source: Path, values: dict, copy: Path, done: dict, force: bool
) -> bool:
    """Execute a chapter, unless ``done`` shows that nothing has changed."""
    text = source.read_text()
    known = done.get(source.stem, {}).get("fingerprint")
    found = _fingerprint(text, values)
    if copy.exists() and not force and known == found:
        click.echo("is up to date")
        return False
    click.echo("...")
    # A failed copy must not be taken for the last success.
    copy.unlink(missing_ok=True)
    started = time.time()
    execute(source, values, copy)
    seconds = round(time.time() - started, 1)
    click.echo(f"      done in {seconds} s")
    done[source.stem] = {
        # Computed now, since the chapter may have trained or timed networks.
        "fingerprint": _fingerprint(text, values),
        "commit": commit(),
        "seconds": seconds,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    return True


def _fingerprint(text: str, values: dict) -> str:
    """What an execution depends on: source, values, code, data it reads."""
    machine, known = host.machine(), DEFAULTS | values
    recipe = Recipe(known["train_seed"], known["epochs"])
    folder = run_folder(known)
    trained = checkpoints.of_recipe(recipe, folder / paths.MODELS)
    return source_hash.of(
        text,
        values,
        "lab.times(" in text and run_times.stamp(folder),
        source_hash.package_hash(),
        [path.read_text() for path in committed_sweeps.files()],
        trained and checkpoints.card_path(trained).read_text(),
        [machine[k] for k in ("processor", "python", "torch")],
    )


def earlier(folder: Path) -> dict:
    """The manifest of a run folder; one of no chapters if there is none."""
    try:
        manifest = json.loads((folder / paths.MANIFEST).read_text())
        return manifest | {"chapters": dict(manifest["chapters"])}
    except (OSError, ValueError, TypeError, KeyError):
        return {"chapters": {}}


def commit() -> str:
    """The commit that runs, with "-dirty" where the tree differs from it."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        found = subprocess.run(
            command, cwd=paths.REPOSITORY, capture_output=True, text=True
        )
    except OSError:
        return "unknown"
    return found.stdout.strip() or "unknown"


def versions() -> dict[str, str]:
    """The packages that requirements.txt names, as installed here."""
    text = (paths.REPOSITORY / "requirements.txt").read_text()
    names = re.findall(r"^([\w.-]+)==", text, re.M)
    return {name: _installed(name) for name in names}


def _installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
