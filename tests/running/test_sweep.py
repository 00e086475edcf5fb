"""Sweeps: files, a real scheduler, failures, kills and interruptions."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import filelock
import nbformat
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from conftest import excerpt

from ptq import paths
from ptq.cli import commands
from ptq.experiment import results
from ptq.running import pipeline, progress, sweep, sweep_plan, worker

ENVIRONMENT = os.environ | {"PYTHONPATH": str(paths.REPOSITORY)}
PARAMETERS = """
value = 0
kind = "fine"
gated = False
log = ""
run_dir = ""
"""
BODY = """
import os, sys, time
from pathlib import Path
from filelock import FileLock
running = FileLock(f"{log}.{os.getpid()}.lock")
running.acquire()
with open(log, "a") as file:
    file.write(f"{value} {os.getpid()}\\n")
while gated and not Path(f"{log}.{value}").exists():
    time.sleep(0.02)
if Path(log + ".fixed").exists():
    kind = "fine"
if kind == "raises":
    1 / 0
if kind == "exits":
    sys.exit(0)
if kind == "dies":
    os._exit(1)
if kind == "hangs":
    time.sleep(1000)
"""
RECORD = """
import shutil
if value:
    made = Path(f"{log}.records", str(value))
    shutil.copytree(made, Path(run_dir, "records"))
Path(run_dir, "models").mkdir()
Path(run_dir, "models", "toy.pt").write_text("large")
with open(log, "a") as file:
    file.write(f"{value} {os.getpid()}\\n")
"""


@pytest.fixture
def toy(tmp_path):
    """Write a sweep of a tiny chapter; return its file."""
    cells = [nbformat.v4.new_code_cell(c) for c in (PARAMETERS, BODY, RECORD)]
    cells[0].metadata["tags"] = ["parameters"]
    kernel = {"name": "python3", "language": "python", "display_name": "3"}
    notebook = nbformat.v4.new_notebook(
        cells=cells, metadata={"kernelspec": kernel}
    )
    nbformat.write(notebook, tmp_path / "toy.ipynb")
    # Made here once: a kernel takes seconds to import what writes a record.
    for value in range(1, 9):
        results.Record(
            *("toy", "", {}, value, 10, 0.5, 7, 7, "none", {}, {}),
            np.zeros(10, np.uint8),
        ).save(tmp_path / "log.records" / str(value))

    def write(text):
        file = tmp_path / "toys.yml"
        text = f"chapter: toy.ipynb\n{textwrap.dedent(text)}"
        file.write_text(text.replace("LOG", str(tmp_path / "log")))
        return file

    return write


def logged(tmp_path):
    """Value and process of each start and each end of a toy."""
    log = tmp_path / "log"
    lines = log.read_text().splitlines() if log.exists() else []
    return [tuple(map(int, line.split())) for line in lines]


def let_pass(tmp_path, *values):
    """Open the gates at which toys of these values wait."""
    for value in values:
        (tmp_path / f"log.{value}").touch()


def alive(tmp_path, process):
    """Whether a toy's process still holds its lock; a zombie does not."""
    lock = filelock.FileLock(tmp_path / f"log.{process}.lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        return True
    lock.release()
    return False


def kept(folder):
    return len(list(folder.glob(f"points/*/{paths.MANIFEST}")))


# Only a hang lasts so long, on however busy a machine.
FOR_EVER = 900


def wait(condition):
    end = time.time() + FOR_EVER
    while not condition():
        assert time.time() < end, "waited in vain"
        time.sleep(0.02)


class Cluster:
    """A scheduler and its workers, each a process, over TCP on loopback."""

    def __init__(self, folder, workers=2, **environment):
        self.folder, self.processes = folder, []
        self.environment = ENVIRONMENT | environment
        file = folder / "scheduler.json"
        self._start(
            *("scheduler", "--host", "127.0.0.1", "--port", "0"),
            *("--dashboard-address", ":0", "--scheduler-file", str(file)),
        )
        wait(file.exists)
        self.address = json.loads(file.read_text())["address"]
        self.workers = [self.start_worker() for _ in range(workers)]

    def start_worker(self):
        return self._start(
            *("worker", self.address, "--nthreads", "1", "--no-nanny"),
            *("--no-dashboard", "--local-directory", str(self.folder)),
        )

    def _start(self, *command):
        log = (self.folder / f"{len(self.processes)}.log").open("w")
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", *command],
            env=self.environment,
            cwd=self.folder,
            stdout=log,
            stderr=log,
        )
        self.processes.append(process)
        return process

    def stop(self):
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    started = Cluster(tmp_path_factory.mktemp("cluster"))
    yield started
    started.stop()


def command(file, folder, *options):
    """Result of ``python -m ptq sweep``."""
    options = ["sweep", str(file), "--run-dir", str(folder), *options]
    return CliRunner().invoke(commands.main, options)


def test_crossed_ranges_and_list_multiply():
    given = {
        "fixed": {"a": 1},
        "list": [{"b": 1}, {"b": 2, "c": 3}],
        "cross": {"d": {"from": 0, "to": 4, "step": 2}, "e": [True]},
    }
    points = sweep_plan.points(given, faults := [])
    assert not faults
    assert [p["d"] for p in points] == [0, 2, 4] * 2
    assert points[0] == {"a": 1, "b": 1, "d": 0, "e": True}
    assert points[-1] == {"a": 1, "b": 2, "c": 3, "d": 4, "e": True}


WRONG = {
    "cross: [1]": "cross: expected lines of NAME: VALUE",
    "cross: {value: 3}": "cross: value: expected a list of values, or a",
    "cross: {value: {from: 3, to: 1}}": "cross: value: expected",
    "cross: {value: {from: 0, to: 1.5}}": "cross: value: expected",
    "cross: {value: {from: 0, to: 9, by: 2}}": "step: 1",
    "cross: {value: [1, two]}": "value='two': expected int",
    "cross: {valeu: [1]}": "valeu: no such parameter; expected value, kind",
    "list: []": "list: expected a list of points",
    "list: [{value: 1}, 7]": "list[1]: expected lines of NAME: VALUE",
    "list: [{value: 1}, {value: 1}]": "twice",
    "fixed: {value: 1}\ncross: {value: [2]}": "value: expected in one of",
    "fixed: {run_dir: x}": "each point has its own folder",
    "girds: {value: [1]}": "girds: no such key; expected chapter, fixed",
    "cross: {value: {from: 1, to: 10000000}}": "more than 100,000 points",
    "cross: {value: [1": "line 2",
}


@pytest.mark.parametrize("text", WRONG)
def test_faulty_file_is_refused_by_name_and_key(toy, tmp_path, text):
    result = command(toy(text), tmp_path / "run")
    assert result.exit_code == 1
    assert "toys.yml" in result.output and WRONG[text] in result.output
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["99", "none.ipynb"])
def test_unknown_chapter_is_refused(tmp_path, name):
    file = tmp_path / "s.yml"
    file.write_text(f"chapter: {name}")
    with pytest.raises(sweep_plan.SweepError, match=f"s.yml: .*{name}"):
        sweep_plan.read(file)


@pytest.mark.parametrize("given", ["", " ''", " '  '", " []"])
def test_a_chapter_that_is_not_given_is_told_by_its_key(tmp_path, given):
    file = tmp_path / "s.yml"
    file.write_text(f"chapter:{given}\n")
    with pytest.raises(sweep_plan.SweepError) as caught:
        sweep_plan.read(file)
    told = str(caught.value)
    assert told.startswith(f"{file}: chapter: nothing is given; expected ")
    assert "NAME.ipynb" in told and "01_baseline" in told


def test_cluster_may_have_what_this_machine_lacks(tmp_path):
    file = tmp_path / "far.yml"
    file.write_text(
        "chapter: 02_naive\nfixed: {threads: 100000, rounds: 2}\n"
    )
    with pytest.raises(sweep_plan.SweepError, match="threads=100000"):
        sweep_plan.read(file)
    (values,) = sweep_plan.read(file, elsewhere=True).points.values()
    assert values["threads"] == 100_000
    file.write_text("chapter: 02_naive\nfixed: {rounds: 1}\n")
    with pytest.raises(sweep_plan.SweepError, match="rounds=1"):
        sweep_plan.read(file, elsewhere=True)


def test_missing_file_and_unreachable_scheduler_are_told(toy, tmp_path):
    assert "no.yml" in command(tmp_path / "no.yml", tmp_path).output
    address = ("--scheduler", "nonsense://x")
    result = command(toy("fixed: {log: LOG}"), tmp_path / "run", *address)
    assert result.exit_code == 1 and "as in tcp://" in result.output


def test_shipped_sweeps_are_valid():
    files = sorted(pipeline.SOURCES.glob("sweeps/*.yml"))
    assert files and all(sweep_plan.read(file).points for file in files)


def test_point_is_known_by_chapter_and_parameters(toy, tmp_path):
    first = sweep_plan.read(toy("cross: {value: [1, 2]}")).points
    assert (
        sweep_plan.read(toy("list: [{value: 2}]")).points.items()
        < first.items()
    )
    source = tmp_path / "toy.ipynb"
    source.write_text(source.read_text().replace("1000", "999"))
    assert (
        not sweep_plan.read(toy("cross: {value: [1, 2]}")).points.keys()
        & first
    )


def test_chapter_that_times_refuses_to_share_a_machine(tmp_path):
    file = tmp_path / "s.yml"
    file.write_text("chapter: 2")
    result = command(file, tmp_path / "run", "--workers", "2")
    assert result.exit_code == 1
    assert "one at a time on a machine" in result.output


def test_timing_points_of_one_host_take_turns(toy, tmp_path):
    plan = sweep_plan.read(toy("cross: {value: [1, 2]}\nfixed: {log: LOG}"))
    alone = worker.Chapter(
        "toy", plan.chapter.text, plan.chapter.version, exclusive=True
    )
    with ThreadPoolExecutor(2) as pool:
        done = list(
            pool.map(lambda v: worker.run(v, alone), plan.points.values())
        )
    assert all(paths.MANIFEST in files for files in done)
    order = [value for value, _ in logged(tmp_path)]
    assert order in ([1, 1, 2, 2], [2, 2, 1, 1])


def test_kernels_meet_in_no_common_folder(tmp_path, monkeypatch):
    # Kernels of other processes took the messages when sockets lay there.
    monkeypatch.chdir(tmp_path)
    code = """
        import json, os
        from ipykernel.connect import get_connection_file
        with open(get_connection_file()) as file:
            place = os.path.dirname(json.load(file)["ip"])
        assert os.path.isabs(place) and place != os.getcwd()
    """
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(textwrap.dedent(code))]
    )
    nbformat.write(notebook, tmp_path / "a.ipynb")
    pipeline.execute(tmp_path / "a.ipynb", {}, tmp_path / "out" / "a.ipynb")


def test_worker_with_another_version_says_so(toy):
    plan = sweep_plan.read(toy(""))
    other = worker.Chapter("toy", plan.chapter.text, version="0123")
    (values,) = plan.points.values()
    files = worker.run(values, other)
    assert files.keys() == {worker.FAILURE}
    error = json.loads(files[worker.FAILURE])["error"]
    assert "0123" in error and str(paths.REPOSITORY) in error


def test_failures_are_told_skipped_and_retried(cluster, toy, tmp_path):
    text = """
        fixed: {log: LOG}
        list:
          - {value: 0}
          - {value: 4}
          - {value: 5, kind: raises}
          - {value: 6, kind: exits}
          - {value: 7, kind: dies}
    """
    folder = tmp_path / "run"
    options = ("--scheduler", cluster.address)
    first = command(toy(text), folder, *options)
    assert first.exit_code == 1 and "2 points done, 3 failed" in first.output
    assert "ZeroDivisionError" in first.output
    assert "did not run" in first.output
    table = pd.read_csv(folder / "table.csv")
    assert list(table.value) == [0, 4]
    assert table.correct.isna()[0] and table.accuracy[1] == 0.4
    count = len(logged(tmp_path))

    # Only the new point runs, so that no other can be too late.
    file = toy(f"{text}      - {{value: 8, kind: hangs}}\n")
    second = command(file, folder, *options, "--timeout", "3")
    assert second.exit_code == 1 and "timed out" in second.output
    assert "ZeroDivisionError" in second.output
    assert len(logged(tmp_path)) == count + 1
    count += 1

    (tmp_path / "log.fixed").touch()
    third = command(file, folder, *options, "--retry")
    assert third.exit_code == 0 and "6 points done, 0 failed" in third.output
    assert len(logged(tmp_path)) == count + 2 * 4
    assert not list(folder.rglob("*failed*")) + list(folder.rglob("models"))
    table = pd.read_parquet(folder / paths.TABLE)
    assert set(table.correct.dropna()) == {4, 5, 6, 7, 8}


DAMAGED = [b"", b'{"parameters": {', b"[]", b"{}", b"\xff\xfe", b"null"]


@pytest.mark.parametrize("content", DAMAGED)
@pytest.mark.parametrize("name", sweep.LAST)
def test_a_damaged_point_runs_again(
    toy, tmp_path, monkeypatch, content, name
):
    plan = sweep_plan.read(toy("cross: {value: [1, 2]}"))
    whole, damaged = (tmp_path / "points" / d for d in plan.points)
    for folder in (whole, damaged):
        told = {"parameters": {}, "error": "it failed"}
        paths.write_json(folder / name, told)
    (damaged / name).write_bytes(content)
    assert sweep._left(plan, tmp_path, retry=False).keys() == {damaged.name}
    monkeypatch.setattr(sweep, "_left", lambda *given: {})
    outcome = sweep.run(plan, tmp_path)
    failed = {whole.name} if name == worker.FAILURE else set()
    assert outcome.failed.keys() == failed
    assert "table" in sweep.report(outcome)


@pytest.mark.parametrize("kind", ["a point", "a link", "all points"])
def test_what_is_in_the_place_of_a_point_is_told(toy, tmp_path, kind):
    file = toy("fixed: {log: LOG}\ncross: {value: [0, 1]}")
    folder = tmp_path / "run"
    place = folder / paths.POINTS
    if kind != "all points":
        place = place / [*sweep_plan.read(file).points][1]
    place.parent.mkdir(parents=True)
    if kind == "a link":
        place.symlink_to("nowhere")
    else:
        place.write_text("mine")
    result = command(file, folder)
    assert result.exit_code == 1 and f"{place} is no folder" in result.output
    assert result.output.rstrip().endswith("or nothing; remove it")
    assert os.path.lexists(place) and not kept(folder)


def test_killed_worker_loses_and_doubles_nothing(cluster, toy, tmp_path):
    file = toy("""
        fixed: {log: LOG, gated: true}
        cross: {value: {from: 1, to: 6}}
    """)
    folder = tmp_path / "run"

    def kill():
        try:
            wait(lambda: len(logged(tmp_path)) == 2)
            let_pass(tmp_path, *dict(logged(tmp_path)))
            wait(lambda: len(logged(tmp_path)) == 6 and kept(folder) == 2)
            running = [process for _, process in logged(tmp_path)[-2:]]
            cluster.workers[0].kill()
            # The dead worker's kernel goes by itself.
            wait(lambda: not all(alive(tmp_path, p) for p in running))
        finally:
            let_pass(tmp_path, *range(1, 7))

    with ThreadPoolExecutor(1) as pool:
        killer = pool.submit(kill)
        outcome = sweep.run(
            sweep_plan.read(file), folder, scheduler=cluster.address
        )
        killer.result()
    cluster.workers[0].wait()
    cluster.workers[0] = cluster.start_worker()
    assert (outcome.done, outcome.failed) == (6, {})
    table = pd.read_parquet(folder / paths.TABLE)
    assert sorted(table.value) == list(range(1, 7))
    assert (table.correct == table.value).all()
    # Six starts, six ends, and the start that the dead worker made.
    assert len(logged(tmp_path)) == 6 + 6 + 1


def test_interrupted_command_resumes(cluster, toy, tmp_path):
    file = toy("fixed: {log: LOG, gated: true}\ncross: {value: [1, 2, 3]}")
    folder = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-m", "ptq", "sweep", str(file), "--workers", "1"]
        + ["--run-dir", str(folder)],
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    wait(lambda: logged(tmp_path))
    let_pass(tmp_path, logged(tmp_path)[0][0])
    # Its start, its end, and the start of the next.
    wait(lambda: len(logged(tmp_path)) == 3 and kept(folder) == 1)
    held = command(file, folder)
    assert "being filled by another command" in held.output
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=FOR_EVER)
    assert process.returncode == 130
    wait(lambda: not alive(tmp_path, logged(tmp_path)[-1][1]))
    assert kept(folder) == 1 and len(logged(tmp_path)) == 3
    done = {p.name for p in folder.glob("points/*")}
    let_pass(tmp_path, 1, 2, 3)
    result = command(file, folder, "--scheduler", cluster.address)
    assert result.exit_code == 0, result.output
    assert done <= {p.name for p in folder.glob("points/*")}
    assert kept(folder) == 3 and len(logged(tmp_path)) == 3 + 2 * 2


def test_sweep_without_worker_says_so_and_uses_one_that_comes(toy, tmp_path):
    file = toy("fixed: {log: LOG}\ncross: {value: [1, 2, 3]}")
    folder = tmp_path / "run"
    told = tmp_path / "told"
    started = Cluster(tmp_path, workers=0)
    with told.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "ptq", "sweep", str(file)]
            + ["--scheduler", started.address, "--run-dir", str(folder)],
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    try:
        advice = f"dask worker {started.address} --nthreads 1"
        wait(lambda: advice in told.read_text())
        assert "0 of 3 points ended" in told.read_text()
        assert kept(folder) == 0 and process.poll() is None
        started.start_worker()
        output, _ = process.communicate(timeout=FOR_EVER)
    finally:
        process.kill()
        started.stop()
    assert process.returncode == 0 and kept(folder) == 3
    assert "3 points done, 0 failed" in output
    assert "ended" not in output
    assert told.read_text().count(advice) == 1


class Scheduler:
    """What a sweep asks its client, answered without a cluster."""

    address = "tcp://here:1"

    def __init__(self):
        self.workers = 0
        self.scheduler = self

    def nthreads(self):
        return dict.fromkeys(range(self.workers), 1)

    def processing(self):
        return dict.fromkeys(range(self.workers), ("one", "in reserve"))


def told(monkeypatch, capsys, live):
    """What stands on stderr at the end of each of 200 seconds.

    Workers are there from second 20 to 150; a point takes 10 seconds.
    """
    now = 0
    clock = SimpleNamespace(monotonic=lambda: now)
    monkeypatch.setattr(progress, "time", clock)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: live, raising=False)
    client = Scheduler()
    with progress.Progress(client, 20) as shown:
        for now in range(200):
            client.workers = 2 if 20 <= now < 150 else 0
            shown.show(max(0, now - 20) // 10)
    return capsys.readouterr().err


def test_log_has_a_line_each_half_minute(monkeypatch, capsys):
    lines = told(monkeypatch, capsys, live=False).splitlines()
    lines = [line for line in lines if "points" in line]
    assert len(lines) == 7
    assert lines[0].startswith("0 of 20 points ended, 0 running, workers: 0")
    assert lines[0].endswith("0:00:00 so far, ? left")
    assert lines[4].startswith("10 of 20 points ended, 2 running, workers: 2")
    assert lines[4].endswith("0:02:00 so far, 0:01:40 left")


def test_absence_of_workers_is_told_once_each_time(monkeypatch, capsys):
    text = told(monkeypatch, capsys, live=True)
    assert text.count("dask worker tcp://here:1 --nthreads 1\n") == 2
    assert text.count("\n") == 2 and text.endswith("\r\033[K")
    assert text.count("points ended") == 100


def test_real_chapter_comes_back_whole(cluster, cifar, tmp_path):
    source = excerpt(tmp_path, "fp32", "naive")
    file = tmp_path / "real.yml"
    file.write_text(
        f"chapter: {source.name}\n"
        "fixed: {test_images: 100, calibration_images: 8}\n"
        "cross: {seed: {from: 1, to: 2}}\n"
    )
    folder = tmp_path / "run"
    result = command(file, folder, "--scheduler", cluster.address)
    assert result.exit_code == 0, result.output
    table = pd.read_csv(folder / "table.csv")
    assert list(table.seed) == [1, 1, 2, 2]
    assert list(table.strategy) == ["fp32", "naive"] * 2
    for row in table.itertuples():
        place = folder / paths.POINTS / row.point
        record = results.load_record(place / f"records/{row.strategy}.json")
        assert record.correct == row.correct == round(100 * row.accuracy)
        copy = nbformat.read(place / source.name, as_version=4)
        injected = copy.metadata.papermill.parameters
        assert injected["seed"] == row.seed
        assert Path(injected["run_dir"]) != place


@pytest.mark.slow
def test_workers_fetch_data_and_train_networks_themselves(tmp_path):
    """Of a network that is not shipped, on workers that have no data."""
    file = tmp_path / "real.yml"
    file.write_text(
        "chapter: 02_naive\n"
        "fixed: {test_images: 100, calibration_images: 8, rounds: 2,\n"
        "  train_seed: 3, epochs: 1}\n"
        "cross: {seed: [1, 2]}\n"
    )
    trained = paths.REPOSITORY / "runs" / "checkpoints"
    for old in trained.glob("*/compact_cnn-seed3-epochs1.*"):
        old.unlink()
    data = tmp_path / "data"
    started = Cluster(tmp_path, PTQ_DATA_DIR=str(data))
    options = ("--scheduler", started.address, "--allow-shared-timing")
    result = command(file, tmp_path / "run", *options)
    started.stop()
    assert result.exit_code == 0, result.output
    assert any(data.iterdir())
    assert len(list(trained.glob("*/compact_cnn-seed3-epochs1.pt"))) == 1
    table = pd.read_csv(tmp_path / "run" / "table.csv")
    assert len(table) == 4 and set(table.train_seed) == {3}
