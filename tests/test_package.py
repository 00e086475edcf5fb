"""The package outside the book's repository, and what it says it needs."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions

import numpy as np
import pytest
from packaging.requirements import Requirement

from ptq import paths

BOOK_ROOMS = {"running", "book"}
PROJECT = tomllib.loads((paths.REPOSITORY / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    """A folder that holds the package, and nothing else of the book."""
    folder = tmp_path_factory.mktemp("installed")
    shutil.copytree(paths.REPOSITORY / "ptq", folder / "ptq")
    return folder


def called(folder, *arguments):
    environment = os.environ | {"PYTHONPATH": str(folder)}
    environment.pop("PTQ_DATA_DIR", None)
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    "command",
    [
        "run",
        "sweep a.yml",
        "reference",
        "coverage",
        "sweep-overhead",
        "assets",
        "headline",
        "data",
        "train",
    ],
)
def test_commands_of_the_book_say_that_they_need_it(outside, command):
    done = called(outside, "-m", "ptq", *command.split())
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "needs the repository of the book: clone it" in line


LIGHT = {
    # The help of the commands, and what they refuse at once.
    "ptq.cli.commands": {"torch", "numpy", "pandas", "scipy"},
    # Many commands, and each worker of a sweep, count nothing.
    "ptq.evidence.replicates": {"scipy.stats"},
    # A worker that dies is started again.
    "ptq.running.worker": {"torch", "pandas", "scipy.stats"},
    # A parser of addresses, made anew by each program that imports it.
    "papermill": {"lark"},
}


@pytest.mark.parametrize("module", LIGHT)
def test_what_many_programs_import_brings_nothing_heavy(module):
    code = f"import sys, {module}; print(*sys.modules)"
    loaded = called(paths.REPOSITORY, "-c", code).stdout.split()
    assert module in loaded and not LIGHT[module] & set(loaded)


def test_a_library_that_is_missing_is_named():
    code = """
import sys
sys.modules["papermill"] = None
from ptq.cli.commands import main
main(["run"])
"""
    done = called(paths.REPOSITORY, "-c", code)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "papermill is not installed" in line


def test_any_result_is_judged_outside(outside):
    labels = np.arange(400) % 10
    np.save(outside / "labels.npy", labels)
    np.save(outside / "fp32.npy", np.where(labels == 3, 5, labels))
    np.save(outside / "int8.npy", np.where(labels < 4, 5, labels))
    done = called(
        outside,
        *("-m", "ptq", "judge", "fp32.npy", "int8.npy"),
        *("--labels", "labels.npy"),
    )
    assert done.returncode == 0, done.stderr
    assert "worse" in done.stdout


def test_a_network_is_quantized_outside(outside):
    code = """
import torch
from ptq.experiment import strategies
from ptq.networks.compact_cnn import CompactCNN
images = torch.rand(8, 3, 32, 32) * 2 - 1
network = strategies.folded(CompactCNN().eval(), images)
print(tuple(network(images).shape))
"""
    done = called(outside, "-c", code)
    assert done.stdout == "(8, 10)\n", done.stderr


def test_three_lines_make_an_onnx_file_outside(outside):
    code = """
import sys
import ptq
assert not {"torch", "numpy", "onnx"} & sys.modules.keys()
import torch
network = ptq.quantize(
    torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(8, 3)),
    torch.rand(16, 2, 2, 2) * 2 - 1,
)
assert "onnx" not in sys.modules and not hasattr(ptq, "no_such_thing")
print(network.export_onnx("a.onnx") == ptq.export_onnx(network, "b.onnx"))
"""
    done = called(outside, "-c", code)
    assert done.stdout == "True\n", done.stderr
    first, second = ((outside / f"{n}.onnx").read_bytes() for n in "ab")
    assert first == second


def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(requirements):
    parsed = map(Requirement, requirements)
    return {plain(r.name): r.specifier for r in parsed if r.name != "ptq"}


NEEDED = declared(PROJECT["project"]["dependencies"])
EXTRAS = {
    name: declared(found)
    for name, found in PROJECT["project"]["optional-dependencies"].items()
}
RUNTIMES = EXTRAS["onnx"] | EXTRAS["openvino"]
PEERS = EXTRAS["peers"]  # which need not be installed


def imports(rooms):
    """Distributions that the modules of these rooms import, and who does."""
    known = packages_distributions()
    for path in sorted((paths.REPOSITORY / "ptq").rglob("*.py")):
        place = path.relative_to(paths.REPOSITORY / "ptq").parts
        if not rooms(place[0] if len(place) > 1 else ""):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module]
            for name in names:
                top = name.partition(".")[0]
                if top not in sys.stdlib_module_names | {"ptq"}:
                    yield plain(known.get(top, [top])[0]), path.name


def test_what_the_science_imports_is_declared():
    found = dict(imports(lambda room: room not in BOOK_ROOMS | {"cli"}))
    assert {"torch", "scipy", "pillow"} <= found.keys()
    declared = NEEDED.keys() | RUNTIMES.keys() | PEERS.keys()
    declared |= EXTRAS["digits"].keys()
    assert found.keys() - declared == set()


def test_only_engines_import_what_an_extra_brings():
    """And the bench, which asks runtimes for flows of their own."""
    others = BOOK_ROOMS | {"engines", "bench"}
    found = dict(imports(lambda room: room not in others))
    assert found.keys() & (RUNTIMES.keys() | PEERS.keys()) == set(), found


def test_what_the_book_imports_is_declared():
    found = dict(imports(lambda room: room in BOOK_ROOMS | {"cli"}))
    assert {"papermill", "matplotlib"} <= found.keys()
    assert found.keys() - NEEDED.keys() - EXTRAS["book"].keys() == set()


def test_pinned_versions_are_among_those_declared():
    text = "".join(
        (paths.REPOSITORY / f"requirements{name}.txt").read_text()
        for name in ("", "-peers")
    )
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.M))
    pinned = {plain(name): version for name, version in pinned.items()}
    everything = NEEDED | RUNTIMES | PEERS | EXTRAS["digits"]
    everything |= EXTRAS["book"]
    assert everything.keys() <= pinned.keys()
    for name, allowed in everything.items():
        assert allowed.contains(pinned[name]), name
