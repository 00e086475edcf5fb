"""Commands that meet a dying worker, a full disk, another command, Ctrl-C."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import filelock
import nbformat
import numpy as np
import pytest
from click.testing import CliRunner

from ptq import paths
from ptq.cli import commands
from ptq.experiment import parameters
from ptq.running import (
    cluster,
    execution,
    locks,
    notebook_parameters,
    pipeline,
    plain_yaml,
    sweep,
    sweep_plan,
    worker,
)

ENVIRONMENT = os.environ | {"PYTHONPATH": str(paths.REPOSITORY)}
START = """
seed = 1
rate = 0.5
flag = False
name = "a"
run_dir = ""
"""


def write(path, *cells, tags=("parameters",), **metadata):
    """A notebook whose first cell sets parameters."""
    made = [nbformat.v4.new_code_cell(text) for text in (START, *cells)]
    made[0].metadata["tags"] = [*tags]
    notebook = nbformat.v4.new_notebook(cells=made, metadata=metadata)
    nbformat.write(notebook, path)
    return path


def swept(folder, text):
    """A sweep file over ``a.ipynb`` beside it."""
    file = folder / "a.yml"
    file.write_text(f"chapter: a.ipynb\n{text}\n")
    return file


def wait(condition):
    end = time.time() + 240
    while not condition():
        assert time.time() < end, "waited in vain"
        time.sleep(0.02)


def start(*arguments, environment=ENVIRONMENT, **given):
    """A command in a session of its own, as in a terminal."""
    return subprocess.Popen(
        [sys.executable, "-m", "ptq", *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        **given,
    )


def refused(*arguments):
    """What a command says that must end in one sentence, status 1."""
    result = CliRunner().invoke(commands.main, [*map(str, arguments)])
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit), result.exception
    return result.output


KILLER = """
import os, signal
from pathlib import Path
if seed == 2:
    with open({log!r}, "a") as log:
        log.write("died\\n")
    os.kill(os.getppid(), signal.SIGKILL)
    signal.pause()
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_point_fails_for_the_death_of_its_own_worker_only(
    tmp_path, workers
):
    log = tmp_path / "log"
    write(tmp_path / "a.ipynb", KILLER.format(log=str(log)))
    plan = sweep_plan.read(swept(tmp_path, "cross: {seed: {from: 1, to: 4}}"))
    outcome = sweep.run(plan, tmp_path / "out", workers)
    assert outcome.done == 3
    (failure,) = outcome.failed.values()
    assert failure["parameters"]["seed"] == 2
    assert failure["error"] == (
        f"its worker died {cluster.DEATHS} times, most often of too little "
        "memory"
    )
    # Dask may have begun it once more before it heard that it is given up;
    # on a busy machine a worker may die before it has begun it.
    assert 1 <= log.read_text().count("died") <= cluster.DEATHS + 1


def kills_once(values, chapter):
    """Point 0 ends; point 1 takes its worker, which has 0, along."""
    gate = Path(values["gate"])
    if values["i"] == 1 and not (gate / "killed").exists():
        wait((gate / "go").exists)
        (gate / "killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    with (gate / "ended").open("a") as log:
        log.write(f"{values['i']}\n")
    return {paths.MANIFEST: b"{}"}


def test_what_a_dying_worker_had_finished_is_made_again(tmp_path):
    todo = {str(i): {"i": i, "gate": str(tmp_path)} for i in range(2)}
    chapter = worker.Chapter("none", "", "")
    with cluster.client("", 1) as client:
        batch = cluster.Batch(client, kills_once, chapter, todo, print)
        # Nothing is fetched before the worker that has it is dead.
        wait(lambda: batch.futures["0"].status == "finished")
        (tmp_path / "go").touch()
        wait(lambda: batch.futures["0"].status == "lost")
        ended = dict(filter(None, batch.ended()))
        batch.close()
    assert ended == dict.fromkeys("01", {paths.MANIFEST: b"{}"})
    assert not batch.deaths["0"]
    assert sorted((tmp_path / "ended").read_text().split()) == ["0", "0", "1"]


def test_a_worker_that_dask_gives_up_is_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "LOST_SECONDS", 0.5)
    todo = {str(i): {"i": i, "gate": str(tmp_path)} for i in range(2)}
    chapter = worker.Chapter("none", "", "")
    with cluster.client("", 1) as client:
        batch = cluster.Batch(client, kills_once, chapter, todo, print)
        wait(lambda: batch.futures["0"].status == "finished")
        # As after a death in the middle of a start: no new one is started.
        (lost,) = client.cluster.workers.values()
        monkeypatch.setattr(lost, "instantiate", never)
        (tmp_path / "go").touch()
        ended = dict(filter(None, batch.ended()))
        batch.close()
    assert ended.keys() == {"0", "1"}


async def never():
    """Starts no worker."""


def test_a_dead_kernel_is_told_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "t"))
    (tmp_path / "t").mkdir()
    write(tmp_path / "a.ipynb", "import os\nos._exit(1)")
    with pytest.raises(execution.ChapterFailed, match="its kernel died"):
        execution.execute(
            tmp_path / "a.ipynb", {}, tmp_path / "out" / "a.ipynb"
        )
    assert [p.name for p in (tmp_path / "out").iterdir()] == [
        "a.failed.ipynb"
    ]
    assert not [*(tmp_path / "t").iterdir()]


GATE = """
import signal
from pathlib import Path
Path(r"{gate}").touch()
while True:
    signal.pause()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_sweep_says_one_sentence(tmp_path, number):
    gate = tmp_path / "gate"
    write(tmp_path / "a.ipynb", GATE.format(gate=gate))
    file = swept(tmp_path, "cross: {seed: [1, 2]}")
    (tmp_path / "t").mkdir()
    process = start(
        *("sweep", file, "--workers", 1, "--run-dir", tmp_path / "out")
    )
    wait(gate.exists)
    os.killpg(process.pid, number)
    said, _ = process.communicate()
    lines = [x for x in said.splitlines() if " points ended, " not in x]
    assert lines == ["interrupted; the same command continues"]
    assert process.returncode == 130


# Python runs it first: a process that Dask starts tells that it is there.
STARTING = """
import os, sys, time
from pathlib import Path
if "--multiprocessing-fork" in sys.orig_argv:
    Path({folder!r}, str(os.getpid())).touch()
    while not Path({folder!r}, "gate").exists():
        time.sleep(0.02)
"""


@pytest.mark.parametrize("times", [1, 50])
def test_workers_that_are_starting_say_nothing_of_an_interruption(
    tmp_path, times
):
    write(tmp_path / "a.ipynb")
    file = swept(tmp_path, "cross: {seed: [1, 2]}")
    begun = tmp_path / "begun"
    begun.mkdir()
    first = tmp_path / "sitecustomize.py"
    first.write_text(STARTING.format(folder=str(begun)))
    both = f"{tmp_path}{os.pathsep}{paths.REPOSITORY}"
    process = start(
        *("sweep", file, "--workers", 2, "--run-dir", tmp_path / "out"),
        environment=ENVIRONMENT | {"PYTHONPATH": both},
    )
    wait(lambda: len([*begun.iterdir()]) == 2)
    for _ in range(times):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.02)
    (begun / "gate").touch()
    said, _ = process.communicate()
    assert said == "interrupted; the same command continues\n"
    assert process.returncode == 130


def test_an_interrupted_execution_leaves_nothing(tmp_path):
    gate = tmp_path / "gate"
    source = write(tmp_path / "a.ipynb", GATE.format(gate=gate))

    def interrupt():
        wait(gate.exists)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        execution.execute(source, {}, tmp_path / "out" / "a.ipynb")
    assert not [*(tmp_path / "out").iterdir()]


RUN = """
import sys
from pathlib import Path
from ptq.running import pipeline
pipeline.SOURCES = Path(sys.argv[1])
pipeline.run(sys.argv[2], only=(sys.argv[3],))
"""
KILLED = """
import os, signal
os.kill(os.getppid(), signal.SIGKILL)
signal.pause()
"""


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    for name, cell in (("01_a", KILLED), ("02_b", "seed")):
        notebook = nbformat.read(write(tmp_path / f"{name}.ipynb", cell), 4)
        notebook.cells[0].source += "train_seed = 42\nepochs = 20\n"
        nbformat.write(notebook, tmp_path / f"{name}.ipynb")

    def run(chapter):
        given = [sys.executable, "-c", RUN, tmp_path, tmp_path / "out"]
        return subprocess.run(
            [*given, chapter],
            env=ENVIRONMENT | {"TMPDIR": str(scratch)},
            capture_output=True,
            text=True,
        )

    assert run("1").returncode == -signal.SIGKILL
    assert [*tmp_path.glob("out/chapters/*.running.ipynb")]
    assert [*scratch.iterdir()]
    done = run("2")
    assert done.returncode == 0, done.stderr
    assert [p.name for p in tmp_path.glob("out/chapters/*")] == ["02_b.ipynb"]
    assert not [*scratch.glob("ptq-*")]


def test_a_temporary_folder_with_a_long_name_is_no_fault(tmp_path):
    scratch = tmp_path / ("long" * 30)
    scratch.mkdir()
    write(tmp_path / "01_a.ipynb", "seed")
    given = [sys.executable, "-c", RUN, tmp_path, tmp_path / "out", "1"]
    done = subprocess.run(
        given,
        env=ENVIRONMENT | {"TMPDIR": str(scratch)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_an_interrupted_command_ends_in_one_sentence(monkeypatch):
    def interrupted(folder):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("ptq.data.cifar10.load", interrupted)
    result = CliRunner().invoke(commands.main, ["data"])
    assert result.exit_code == 130
    assert result.output == "interrupted; the same command continues\n"


class Part:
    """Something with a weak reference, as tensors have."""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_inside_a_callback_is_not_lost(number, monkeypatch):
    def interrupted(folder):
        part = Part()
        seen = weakref.ref(part, lambda _: signal.raise_signal(number))
        del part
        assert seen() is None
        wait(lambda: False)

    monkeypatch.setattr("ptq.data.cifar10.load", interrupted)
    result = CliRunner().invoke(commands.main, ["data"])
    assert result.exit_code == 130
    assert result.output == "interrupted; the same command continues\n"


def test_an_interruption_that_becomes_another_error_is_told(monkeypatch):
    def interrupted(folder):
        try:
            signal.raise_signal(signal.SIGTERM)
        except BaseException as error:
            raise ValueError("something else") from error

    monkeypatch.setattr("ptq.data.cifar10.load", interrupted)
    result = CliRunner().invoke(commands.main, ["data"])
    assert result.exit_code == 130
    assert result.output == "interrupted; the same command continues\n"


@pytest.mark.parametrize("command", ["run", "train"])
def test_a_folder_in_use_is_refused_with_its_holder(tmp_path, command):
    with locks.folder(tmp_path / "run"):
        said = refused(command, "--run-dir", tmp_path / "run")
    assert f"{tmp_path / 'run'} is being filled by another" in said
    assert f"PID {os.getpid()} on " in said
    assert [p.name for p in (tmp_path / "run").iterdir()] == [".lock"]


def test_who_waits_for_the_timer_says_for_whom(tmp_path, capfd):
    write(tmp_path / "a.ipynb", "if False:\n    lab.times()")
    file = swept(tmp_path, "cross: {seed: [1]}")
    held = filelock.FileLock(locks.timer_file())
    with held:
        Path(held.lock_file).write_text("PID 12 on moon")
        process = start("sweep", file, "--run-dir", tmp_path / "out")
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "waits for the timer, held by PID 12 on moon" in line:
                break
    said, _ = process.communicate()
    assert "waits for the timer" in lines[-1], lines
    assert "1 points done, 0 failed" in said


def test_the_timer_needs_no_user_number(monkeypatch):
    monkeypatch.delattr(os, "getuid")
    monkeypatch.setenv("LOGNAME", "somebody")
    assert locks.timer_file().name == "ptq-timing-somebody.lock"


UNCLEAR = {
    "fixed: {flag: off}": "line 2: off: versions of YAML read this "
    "differently; write true or false",
    "fixed: {name: no}": "'no' in quotes",
    "fixed: {name: 2024-01-01}": "'2024-01-01' in quotes",
    "fixed: {name: 12:30}": "'12:30' in quotes",
    "fixed: {seed: 010}": "without leading 0",
    "fixed: {seed: 1_000}": "without leading 0, _ and :",
    "fixed: {rate: 1e-3}": "write 1.0e-3 for the number",
    "fixed: {rate: 1}": "expected float, as in rate=0.5; write 1.0",
    "fixed: {seed: 2.0}": "expected int, as in seed=1; write 2",
    "fixed: {rate: .nan}": "rate=nan: expected a finite number",
    "fixed: {rate: -.inf}": "rate=-inf: expected a finite number",
    "fixed: {name: null}": "write 'null' in quotes",
    "fixed: {name: 7}": "write '7' in quotes",
    "cross:\n  seed: [1]\n  seed: [3]": "seed: given in line 3 and again in "
    "line 4",
    "cross: {seed: [1]}\ncross: {rate: [0.5]}": "cross: given in line 2 and "
    "again in line 3",
    "---\nchapter: 2": "line 3: a second document begins here",
    "fixed: &a {seed: *a}": "contains itself by an alias",
    "fixed: {name: y}": "write true or false for a switch, or 'y' in quotes",
    "fixed: " + 5000 * "[" + 5000 * "]": "nested too deeply",
    "fixed: {seed: !!str 3}": "line 2: !!str: tags are not taken",
    "fixed: {rate: !!float 1}": "!!float: tags are not taken",
    "fixed: {name: !foo x}": "!foo: tags are not taken",
    "fixed: {name: !!binary aGVsbG8=}": "!!binary: tags are not taken",
    "fixed: {name: !!python/tuple [1]}": "!!python/tuple: tags are not",
    "fixed: !!omap {seed: 1}": "!!omap: tags are not taken",
    'fixed: {name: "\\ud800"}': "expected text that UTF-8 can hold",
}


@pytest.mark.parametrize("text", UNCLEAR)
def test_a_value_that_can_be_read_in_two_ways_is_refused(tmp_path, text):
    write(tmp_path / "a.ipynb")
    with pytest.raises(sweep_plan.SweepError) as caught:
        sweep_plan.read(swept(tmp_path, text))
    assert UNCLEAR[text] in str(caught.value)
    assert str(tmp_path / "a.yml") in str(caught.value)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_a_file_that_is_not_in_utf8_is_told_how_to_save_it(
    tmp_path, encoding
):
    write(tmp_path / "a.ipynb")
    file = swept(tmp_path, "fixed: {name: é}")
    file.write_bytes(file.read_text().encode(encoding))
    line = {"latin-1": 2, "utf-16": 1}[encoding]
    with pytest.raises(sweep_plan.SweepError) as caught:
        sweep_plan.read(file)
    assert f"a.yml: line {line}: byte 0x" in str(caught.value)
    assert "save the file as UTF-8" in str(caught.value)
    assert "codec" not in str(caught.value)


def test_all_faults_of_a_file_come_in_one_message(tmp_path):
    write(tmp_path / "a.ipynb")
    text = """
        fixed: {flag: off, name: 3}
        list:
          - {sede: 1}
          - {rate: 2}
        cross: {seed: 5}
        crss: {}
    """
    with pytest.raises(sweep_plan.SweepError) as caught:
        sweep_plan.read(swept(tmp_path, text.replace("\n        ", "\n")))
    lines = str(caught.value).removeprefix(f"{tmp_path}/a.yml: ").splitlines()
    begins = [line.split(":")[0] for line in lines]
    assert begins == ["line 3", "crss", "cross", "name=3", "sede", "rate=2"]


@pytest.mark.parametrize(
    "text", ["010", "no", "1e-3", "2024-01-01", "[1, no]"]
)
def test_a_parameter_of_run_is_refused_likewise(tmp_path, text):
    said = refused("run", "-p", "seed", text, "--run-dir", tmp_path / "run")
    assert "seed: " in said and "versions of YAML" in said
    assert not (tmp_path / "run").exists()


def test_a_faulty_value_of_run_is_told_in_one_line(tmp_path):
    said = refused("run", "-p", "seed", "[1", "--run-dir", tmp_path / "run")
    assert "seed='[1': not a value" in said and said.count("\n") == 1


def test_a_parameter_of_run_is_given_once(tmp_path):
    said = refused("run", "-p", "seed", "1", "-p", "seed", "2")
    assert "seed: given twice" in said


def test_a_faulty_preset_is_refused_by_name(tmp_path, monkeypatch):
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets" / "mine.yml").write_text("seed: 1\nseed: 010\n")
    monkeypatch.setattr(pipeline, "SOURCES", tmp_path)
    with pytest.raises(parameters.ParameterError) as caught:
        pipeline.preset("mine")
    for part in ("mine.yml", "line 1 and again in line 2", "010"):
        assert part in str(caught.value)


def test_plain_values_mean_what_they_meant():
    text = "{a: 1, b: -2.5, c: true, d: two words, e: '010', f: 1.0e-3, g: ~}"
    assert plain_yaml.load(text) == (
        {"a": 1, "b": -2.5, "c": True, "d": "two words", "e": "010"}
        | {"f": 0.001, "g": None},
        [],
    )


def test_a_notebook_without_parameters_is_told_how_to_tag(tmp_path):
    write(tmp_path / "a.ipynb", tags=())
    with pytest.raises(sweep_plan.SweepError) as caught:
        sweep_plan.read(swept(tmp_path, "cross: {seed: [1]}"))
    said = "a.ipynb has no cell tagged parameters; tag the one that sets them"
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("no json", "is not a notebook"),
        ("[]", "is not a notebook"),
        ('{"a": 1}', "is not a notebook"),
    ],
)
def test_what_is_no_notebook_is_told(tmp_path, content, told):
    (tmp_path / "a.ipynb").write_text(content)
    with pytest.raises(sweep_plan.SweepError, match=told):
        sweep_plan.read(swept(tmp_path, ""))


def with_cells(path, change):
    """A notebook whose content was changed by hand."""
    content = json.loads(write(path, "x = 1").read_text())
    change(content, content["cells"])
    path.write_text(json.dumps(content))


ODD_NOTEBOOKS = {
    "kernelspec is text": (
        lambda made, cells: made["metadata"].update(kernelspec="python3"),
        "is not a notebook",
    ),
    "kernelspec names a number": (
        lambda made, cells: made["metadata"].update(
            kernelspec={"language": 3}
        ),
        "is written in 3; expected Python",
    ),
    "no cells": (
        lambda made, cells: made.update(cells=None),
        "is not a notebook",
    ),
    "cells that are none": (
        lambda made, cells: made.update(cells=[None]),
        "is not a notebook",
    ),
    "a cell without a source": (
        lambda made, cells: cells[0].pop("source"),
        "is not a notebook",
    ),
    "a source that is a number": (
        lambda made, cells: cells[0].update(source=3),
        "is not a notebook",
    ),
    "metadata that are none": (
        lambda made, cells: cells[0].update(metadata=None),
        "is not a notebook",
    ),
    "tags are none": (
        lambda made, cells: cells[0]["metadata"].update(tags=None),
        "no cell tagged parameters",
    ),
    "text is tagged": (
        lambda made, cells: cells[0].update(cell_type="markdown"),
        "no cell tagged parameters",
    ),
    "two are tagged": (
        lambda made, cells: cells[1]["metadata"].update(tags=["parameters"]),
        "has 2 cells tagged parameters: expected one",
    ),
    "computed values": (
        lambda made, cells: cells[0].update(source="seed = 2 * 3"),
        "seed: a.ipynb sets it to no literal that a file can hold: expected "
        "one, as in seed = 3",
    ),
    "a tuple": (
        lambda made, cells: cells[0].update(source="seed = (1, 2)"),
        r"no file holds a tuple: set a list there, \[1, 2\]",
    ),
    "none": (
        lambda made, cells: cells[0].update(source="seed = None"),
        "None says no type: set a value there",
    ),
    "no value of a file": (
        lambda made, cells: cells[0].update(source="seed = {1}"),
        "seed: a.ipynb sets it to no literal that a file can hold",
    ),
}


@pytest.mark.parametrize("kind", ODD_NOTEBOOKS)
def test_a_notebook_whose_parameters_cannot_be_told_is_refused(
    tmp_path, kind
):
    change, told = ODD_NOTEBOOKS[kind]
    with_cells(tmp_path / "a.ipynb", change)
    with pytest.raises(sweep_plan.SweepError, match=told):
        sweep_plan.read(swept(tmp_path, "cross: {seed: [1]}"))


def test_a_constant_that_no_file_holds_is_no_parameter(tmp_path):
    with_cells(
        tmp_path / "a.ipynb",
        lambda made, cells: cells[0].update(source="seed = 1\nmark = b'x'"),
    )
    points = sweep_plan.read(swept(tmp_path, "cross: {seed: [2]}")).points
    assert list(points.values()) == [{"seed": 2}]


def test_a_notebook_of_another_language_is_refused(tmp_path):
    kernel = {"name": "ir", "display_name": "R", "language": "R"}
    write(tmp_path / "a.ipynb", kernelspec=kernel)
    with pytest.raises(
        sweep_plan.SweepError, match="written in R; expected Py"
    ):
        sweep_plan.read(swept(tmp_path, ""))


def test_a_notebook_that_names_no_kernel_runs(tmp_path):
    source = write(tmp_path / "a.ipynb", "assert seed == 3")
    old = json.loads(source.read_text())
    for cell in old["cells"]:
        del cell["id"]
    source.write_text(json.dumps(old | {"nbformat_minor": 4}))
    assert notebook_parameters.defaults(source)["rate"] == 0.5
    execution.execute(source, {"seed": 3}, tmp_path / "out" / "a.ipynb")
    assert (tmp_path / "out" / "a.ipynb").exists()


FOLDERS = {
    "run": "--run-dir",
    "train": "--run-dir",
    "sweep": "--run-dir",
    "data": "--folder",
}


def arguments(command, tmp_path, folder):
    given = [command, FOLDERS[command], folder]
    if command == "sweep":
        write(tmp_path / "a.ipynb")
        given.append(swept(tmp_path, "cross: {seed: [1]}"))
    return given


@pytest.mark.parametrize("command", FOLDERS)
def test_a_file_in_place_of_a_folder_is_told(tmp_path, command):
    (tmp_path / "file").touch()
    said = refused(*arguments(command, tmp_path, tmp_path / "file"))
    assert str(tmp_path / "file") in said and said.count("\n") == 1
    assert "cannot write" in said and FOLDERS[command].strip("-") in said


@pytest.mark.parametrize("command", ["run", "train", "sweep"])
def test_a_folder_for_which_there_is_no_place_is_told(tmp_path, command):
    """In /proc no folder can be made; the system calls it not found."""
    said = refused(*arguments(command, tmp_path, "/proc/nope/run"))
    assert "cannot write to /proc/nope/run" in said, said
    assert said.endswith(f"give another {FOLDERS[command]}\n")
    assert said.count("\n") == 1


@pytest.mark.parametrize("option", ["--json", "--page"])
@pytest.mark.parametrize("inside", ["file", "file/deep"])
def test_a_file_in_place_of_a_reports_folder_is_told(
    tmp_path, option, inside
):
    (tmp_path / "file").touch()
    for name in "ab":
        np.save(tmp_path / f"{name}.npy", np.arange(99) % 3)
    files = [str(tmp_path / f"{name}.npy") for name in "ab"]
    report = str(tmp_path / inside / "x")
    asked = ["judge", *files, option, report]
    result = CliRunner().invoke(commands.main, asked)
    assert result.exit_code == 2 and result.output == (
        f"Error: cannot write to {tmp_path / 'file'}: "
        f"{os.strerror(errno.ENOTDIR)}; give another --json or --page\n"
    )


@pytest.mark.skipif(
    not os.path.exists("/dev/full"), reason="only Linux has a full device"
)
def test_a_full_disk_under_the_output_is_told_as_such(tmp_path):
    for name in "ab":
        np.save(tmp_path / f"{name}.npy", np.arange(99) % 3)
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "ptq", "judge", "a.npy", "b.npy"],
            env=ENVIRONMENT,
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    first, *_ = done.stderr.splitlines()
    assert first == (
        f"Error: cannot write what is printed: {os.strerror(errno.ENOSPC)}"
    )
    assert str(tmp_path) not in done.stderr


WAYS = {
    errno.EROFS: "",
    errno.EACCES: "",
    errno.EFBIG: "raise the limit of a file's size (ulimit -f) or ",
}


@pytest.mark.parametrize("number", WAYS)
def test_a_folder_that_cannot_be_written_is_told(
    tmp_path, monkeypatch, number
):
    folder = tmp_path / "out"

    def unwritable(path):
        raise OSError(number, os.strerror(number), str(path / ".lock"))

    monkeypatch.setattr(locks, "folder", unwritable)
    assert refused(*arguments("sweep", tmp_path, folder)) == (
        f"Error: cannot write to {folder}: {os.strerror(number)}; "
        f"{WAYS[number]}give another --run-dir\n"
    )


def test_a_point_that_finds_no_room_leaves_no_part(tmp_path, monkeypatch):
    kept, folder = [], tmp_path / "out"
    number = errno.ENOSPC

    def full(path, content):
        if "points" in str(path) and kept:
            raise OSError(number, os.strerror(number), str(path))
        kept.append(path)
        written(path, content)

    written = paths.write_whole
    monkeypatch.setattr(paths, "write_whole", full)
    said = refused(*arguments("sweep", tmp_path, folder)).splitlines()
    assert said[-1] == (
        f"Error: cannot write to {folder}: {os.strerror(number)}; free some "
        "or give another --run-dir"
    )
    assert not [*(folder / paths.POINTS).iterdir()]


def test_a_full_disk_in_a_chapter_is_told_as_such(tmp_path):
    source = write(
        tmp_path / "a.ipynb",
        "import errno, os\n"
        "raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), '/x/y')",
    )
    with pytest.raises(OSError) as caught:
        execution.execute(source, {}, tmp_path / "out" / "a.ipynb")
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == "/x/y"


def test_writing_a_whole_file_names_it_where_there_is_no_room(tmp_path):
    with pytest.raises(OSError) as caught, paths.whole_file(tmp_path / "a"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(tmp_path / "a")
    assert not [*tmp_path.iterdir()]


def test_ctrl_c_while_modules_are_imported_is_one_sentence(tmp_path):
    (tmp_path / "click.py").write_text(
        "import signal, time\n"
        "signal.raise_signal(signal.SIGINT)\n"
        "time.sleep(60)\n"
    )
    both = f"{tmp_path}{os.pathsep}{paths.REPOSITORY}"
    done = subprocess.run(
        [sys.executable, "-m", "ptq", "judge", "--help"],
        env=ENVIRONMENT | {"PYTHONPATH": both},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        # A suite in the background has the signal ignored.
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.default_int_handler
        ),
    )
    assert done.stderr == "\ninterrupted; nothing was begun\n"
    assert done.returncode == 130
