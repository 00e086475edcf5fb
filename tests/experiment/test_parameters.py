"""Refusals: each says what is valid, and nothing runs."""

import math
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from ptq import paths
from ptq.cli.commands import main
from ptq.engines import eager_settings
from ptq.experiment import laboratory, parameters
from ptq.experiment.parameters import DEFAULTS
from ptq.running import pipeline

CORES = os.cpu_count()
BAD = [
    ("sed", 42, [*DEFAULTS]),
    ("seed", "42", ["'42'", "int"]),
    ("seed", 42.0, ["int"]),
    ("seed", None, ["int"]),
    ("seed", True, ["int"]),
    ("seed", -1, ["0 to"]),
    ("train_seed", 2**31, ["0 to"]),
    ("epochs", 0, ["1 to"]),
    ("calibration_images", 0, ["1 to 45000"]),
    ("calibration_images", 45_001, ["1 to 45000"]),
    ("test_images", 0, ["1 to 10000"]),
    ("test_images", 10_001, ["1 to 10000"]),
    ("rounds", 1, ["2 to"]),
    ("threads", 0, [f"1 to {CORES}"]),
    ("threads", CORES + 1, [f"1 to {CORES}"]),
    ("engine", "cudnn", [*eager_settings.available(), "auto"]),
    ("data_dir", 7, ["str"]),
]


@pytest.mark.parametrize(("name", "value", "valid"), BAD)
def test_bad_parameters_are_refused(name, value, valid):
    with pytest.raises(parameters.ParameterError) as caught:
        parameters.check({name: value}, DEFAULTS)
    for part in (name, *valid):
        assert part in str(caught.value)


def test_an_unknown_engine_is_told_once():
    with pytest.raises(parameters.ParameterError) as caught:
        parameters.check({"engine": "foo"}, parameters.DEFAULTS)
    assert str(caught.value).count("engine='foo'") == 1


def test_every_fault_is_told_at_once():
    with pytest.raises(parameters.ParameterError) as caught:
        parameters.check({"sed": 1, "epochs": 0, "seed": 3}, DEFAULTS)
    lines = str(caught.value).splitlines()
    assert [line[:3] for line in lines] == ["sed", "epo"]


@pytest.mark.parametrize("value", [0, 1, "False", None])
def test_a_switch_takes_only_true_or_false(value):
    with pytest.raises(parameters.ParameterError, match="True or False"):
        parameters.check({"retrain": value}, {"retrain": False})


@pytest.mark.parametrize(
    "odd", [[1, [2, math.nan]], [{"a": -math.inf}], [{math.nan: 1}]]
)
def test_a_number_that_is_not_finite_is_refused_however_deep(odd):
    with pytest.raises(parameters.ParameterError) as caught:
        parameters.check({"items": odd}, {"items": [1, [2, 0.5]]})
    assert str(caught.value) == f"items={odd}: expected finite numbers"
    parameters.check({"items": odd}, {"items": [math.inf]})
    parameters.check({"items": [1, [2.5]]}, {"items": []})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", 0),
        ("seed", 2**31 - 1),
        ("calibration_images", 1),
        ("calibration_images", 45_000),
        ("test_images", 10_000),
        ("rounds", 2),
        ("threads", CORES),
        ("data_dir", "/somewhere"),
        *(("engine", name) for name in (*eager_settings.available(), "auto")),
    ],
)
def test_limits_themselves_are_allowed(name, value):
    parameters.check({name: value}, DEFAULTS)


def test_the_defaults_are_allowed():
    parameters.check(DEFAULTS, DEFAULTS)


def refuse(*arguments):
    """Run a command that must end in a message, not in a traceback."""
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code != 0
    assert isinstance(result.exception, SystemExit), result.exception
    return result.output


@pytest.mark.parametrize(
    ("command", "arguments", "parts"),
    [
        ("run", ["-p", "sed", "42"], ["sed", *DEFAULTS]),
        ("run", ["-p", "seed", "many"], ["seed='many'", "int"]),
        ("run", ["-p", "seed", "1.5"], ["seed=1.5", "int"]),
        ("run", ["-p", "seed", "true"], ["seed=True", "int"]),
        ("run", ["-p", "seed", "["], ["seed"]),
        ("run", ["-p", "calibration_images", "0"], ["1 to 45000"]),
        ("run", ["-p", "threads", str(CORES + 1)], [f"1 to {CORES}"]),
        (
            "run",
            ["-p", "engine", "cudnn"],
            [*eager_settings.available(), "auto"],
        ),
        ("run", ["--preset", "fast"], ["fast", "paper", "quick"]),
        ("run", ["--only", "99"], ["99", "01_baseline"]),
        ("run", ["--only", ""], ["01_baseline"]),
        ("run", ["--only", "1", "--only", "baseline"], ["01_baseline"]),
        ("run", ["--preset", "quick", "-p", "rounds", "1"], ["2 to"]),
        ("train", ["--epochs", "0"], ["epochs=0", "1 to"]),
        ("train", ["--seed", "-1"], ["seed=-1", "0 to"]),
        ("train", ["--seed", "many"], ["many", "integer"]),
    ],
)
def test_command_refuses_before_anything_runs(
    command, arguments, parts, tmp_path
):
    folder = tmp_path / "run"
    output = refuse(command, "--run-dir", str(folder), *arguments)
    for part in parts:
        assert part in output
    assert not folder.exists()


def test_headline_needs_a_run(tmp_path):
    output = refuse("headline", "--run-dir", str(tmp_path / "none"))
    assert "has no executed chapter 06_comparison: `python -m ptq" in output
    # A run of a torch that has no kernels: an older table, and no entry.
    paths.write_json(tmp_path / paths.MANIFEST, {"chapters": {}})
    again = refuse("headline", "--run-dir", str(tmp_path))
    assert "has no executed chapter" in again
    assert str(tmp_path / "none") in output


def test_an_unknown_command_is_refused():
    assert "trian" in refuse("trian")


@pytest.mark.parametrize("name", ["1", "01", "01_baseline"])
def test_a_chapter_is_picked_by_number_or_name(name):
    (found,) = pipeline.chapters((name,))
    assert found.stem == "01_baseline"


def test_presets_have_parameters_that_there_are():
    presets = sorted((pipeline.SOURCES / "presets").glob("*.yml"))
    assert len(presets) >= 2
    for path in presets:
        parameters.check(pipeline.preset(path.stem), DEFAULTS)


def test_the_paper_preset_is_what_the_chapters_do_by_default():
    paper = pipeline.preset("paper")
    assert paper.items() <= DEFAULTS.items()
    for source in pipeline.chapters():
        given = pipeline.defaults(source)
        assert {
            n: given[n] for n in paper if n in given
        }.items() <= paper.items()


@pytest.mark.parametrize(
    ("changed", "folder"),
    [
        ({}, "runs/book"),
        ({"data_dir": "elsewhere"}, "runs/book"),
        ({"seed": 7, "threads": 2}, "runs/seed7-threads2"),
        ({"seed": 7, "run_dir": "here"}, "here"),
    ],
)
def test_only_the_defaults_write_where_the_book_reads(changed, folder):
    found = parameters.run_folder(parameters.DEFAULTS | changed)
    assert found == Path(folder).absolute() or found == (
        paths.REPOSITORY / folder
    )


def test_a_networks_own_run_never_fills_the_books_folder():
    given = parameters.DEFAULTS | {"network": "my/net.py:make", "data": ""}
    found = parameters.run_folder(given)
    assert found.name == "network-my-net.py-make"
    other = parameters.run_folder(given | {"network": "net.py:make"})
    assert other != found != parameters.run_folder(parameters.DEFAULTS)


def test_a_chapter_without_experiment_refuses_wrong_parameters(tmp_path):
    given = {"seed": 7, "run_dir": str(tmp_path), "network": "net.py:make"}
    assert laboratory.folder(given) == tmp_path
    with pytest.raises(
        parameters.ParameterError, match="seed='7': expected int"
    ):
        laboratory.folder(given | {"seed": "7"})
    cells = ["seed = 42", "# Parameters\nseeds = 7"]
    with pytest.raises(
        parameters.ParameterError, match="seeds: no such parameter"
    ):
        laboratory.folder(given | {"In": cells})
