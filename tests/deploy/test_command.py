"""``python -m ptq quantize``: its example, its exit status, its sentences."""

import re
import shlex
import subprocess
import sys

import pytest
from click.testing import CliRunner

from ptq.cli import commands
from ptq.deploy import deploying


def called(*arguments):
    return CliRunner().invoke(
        commands.main, ["quantize", *map(str, arguments)]
    )


def example():
    """The command in the help, as a shell takes it apart."""
    text = called("--help").stdout
    found = re.search(r"python -m ptq quantize .*?[^\\]\n", text, re.S)
    return shlex.split(found[0].replace("\\\n", " "))[4:]


def test_the_example_of_the_help_works(here):
    done = called(*example(), "--rounds", 1)
    assert done.exit_code in (0, 1), done.output
    assert (done.exit_code == 0) == (
        "not non-inferior: INT8" not in done.stderr
    )
    assert "Net in INT8: " in done.stdout and "Load it" in done.stdout
    for name in ("card.html", "card.json", "network.onnx", "int8.npy"):
        assert (here / "deploy" / name).exists()
    steps = done.stderr.splitlines()
    assert steps[:2] == [
        "reads images",
        "traces, folds, calibrates and quantizes",
    ]
    assert "measures times" in steps


def test_fail_unless_ends_with_status_1(here):
    done = called(
        *("net.py:make", "--checkpoint", "w.pt", "--data", "images.npz"),
        *("--out", "out", "--rounds", 1, "--weight-bits", 2),
        *("--calibration", 32, "--fail-unless", "non-inferior"),
        *("--export", "packed"),
    )
    assert done.exit_code == 1 and "INT8: WORSE" in done.stdout
    assert done.stderr.splitlines()[-1] == "not non-inferior: INT8"
    assert "32 images" in done.stdout and "1,065 images" in done.stdout
    files = {path.name for path in (here / "out").glob("network.*")}
    assert files == {"network.ptq"}


def test_an_interruption_ends_in_one_sentence(here, monkeypatch):
    def interrupted(*given, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr(deploying, "quantize", interrupted)
    done = called("net.py:make", "--data", "images.npz", "--out", "out")
    assert done.exit_code == 130
    last = done.stderr.splitlines()[-1]
    assert last == "interrupted; the same command continues"


THREE = "torchvision.models:squeezenet1_1 --data images.npz"
WRONG = {
    "net.py:made --data images.npz": "no function or class made",
    "net.py:make --checkpoint no.pt --data images.npz": "no.pt: No such file",
    "net.py:make --data empty": "holds no images",
    "net.py:make --data images.npz --normalization 0.5": "expected mean,std",
    "net.py:make --data images.npz --normalization a,b": "expected mean,std",
    "net.py:make --data images.npz --margin 0": "--margin=0.0: expected",
    "net.py:make --data images.npz --calibration 2000": "1097 images",
    "net.py:make --data images.npz --keep-float head": "no such part",
    "net.py:make --data images.npz --classes a,b": "2 names for 10 classes",
    "net.py:make --data images.npz --seed -1": "'--seed': -1",
    "net.py:make --data images.npz --calibration-data no": "nothing of this",
    THREE: "no normalization",
    f"{THREE} --normalization 0.5,0.5": "channels",
    "net.py:make --data images.npz --export ptq": "expected one or several",
}


@pytest.mark.parametrize("arguments", WRONG)
def test_what_is_wrong_ends_in_one_sentence(here, arguments):
    (here / "empty").mkdir()
    done = called(*arguments.split(), "--out", "out")
    assert done.exit_code == 2, done.output
    last = done.stderr.splitlines()[-1]
    assert last.startswith("Error: ") and WRONG[arguments] in last
    assert "Traceback" not in done.output


def test_a_folder_that_is_a_file_is_told(here):
    done = called("net.py:make", "--data", "images.npz", "--out", "w.pt")
    assert done.exit_code != 0
    assert "w.pt" in done.stderr and "--out" in done.stderr


# What a torch without its eager quantization would be, as near as can be:
# this one needs its own package while it is imported itself.
WITHOUT_EAGER = """
import sys, torch, torch.fx
for name in [n for n in sys.modules if n.startswith("torch.ao")]:
    del sys.modules[name]
del torch.ao
sys.modules["torch.ao"] = None
from ptq.cli import commands
commands.main(sys.argv[1:])
"""


def test_it_works_where_torch_has_no_eager_quantization(here):
    given = ["quantize", *example(), "--rounds", "1"]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_EAGER, *given],
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, 1) and "Net in INT8: " in done.stdout, (
        done.stderr
    )
