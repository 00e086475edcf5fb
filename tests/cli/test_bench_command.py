"""``python -m ptq bench``: rows, files, and sentences; never a clock."""

import json
import shutil

import numpy as np
import onnxruntime
import pytest
from bs4 import BeautifulSoup
from click.testing import CliRunner

from ptq.bench import knobs
from ptq.cli import bench_command, commands

ROWS = [
    "FP32",
    "FP32, channels last",
    "BF16, channels last",
    "FP32, ONNX Runtime",
    "INT8, onnx runtime",
    "INT8, recommended",
    "INT8, ONNX Runtime's flow",
]
FEW = ("--rounds", 1, "--threads", 1)


def called(*arguments):
    return CliRunner().invoke(commands.main, ["bench", *map(str, arguments)])


def test_a_readers_network_is_timed_in_every_runtime(here):
    done = called(
        *("net.py:make", "--checkpoint", "w.pt", "--data", "images.npz"),
        *("--images", 300, "--json", "now.json", "--page", "now.html", *FEW),
    )
    assert done.exit_code == 0, done.output
    found = json.loads((here / "now.json").read_text())
    assert set(ROWS) <= found["rows"].keys()
    assert "simulation" not in str(found["rows"].keys())
    changed = {n: row["disagreement"] for n, row in found["rows"].items()}
    assert changed["FP32"] == 0 and max(changed.values()) < 0.05
    # Of the layers, as tests/deploy counts them by hand.
    assert found["macs"] == 72 * 64 + 8 * 72 * 64 + 1280
    assert found["rows"]["INT8, onnx runtime"]["memory"] == 3 * 512
    modes = [(t["batch"], t["mode"]) for t in found["timings"]]
    assert modes[:2] == [(1, "hot"), (1, "cold")] and len(modes) == 3
    for timing in found["timings"]:
        assert timing["seconds"].keys() == {*found["rows"], "A/A"}
    assert found["versions"]["onnxruntime"] == onnxruntime.__version__
    # Each hot timing has a word on the fastest flow of others.
    assert "The bar: " in done.stdout
    hot = [t["name"] for t in found["timings"] if t["mode"] == "hot"]
    assert set(hot) <= found["choices"].keys()
    page = BeautifulSoup((here / "now.html").read_text(), "html.parser")
    assert not page.find_all(["script", "img", "link"])
    for name in ROWS:
        assert name in page.get_text() and name in done.stdout
    for word in ("not judged", "too few rounds"):
        if word in done.stdout:
            break
    else:
        raise AssertionError("one round was judged")


@pytest.fixture(scope="module")
def random_run(net, tmp_path_factory):
    """A run with random pixels, which say nothing about predictions."""
    file = tmp_path_factory.mktemp("bench") / "now.json"
    spec = f"{net.folder / 'net.py'}:make"
    done = called(spec, "--input-shape", "1,8,8", "--json", file, *FEW)
    assert done.exit_code == 0, done.output
    found = json.loads(file.read_text())
    assert "random pixels" in done.stdout
    assert {row["disagreement"] for row in found["rows"].values()} == {None}
    return file


@pytest.fixture
def saved(here, random_run):
    shutil.copy(random_run, here)
    return json.loads(random_run.read_text())


def test_a_saved_run_is_shown_and_compared(here, saved):
    done = called("now.json", "--against", "now.json")
    assert done.exit_code == 0 and "before" in done.stdout
    assert "Versions: the same" in done.stdout
    saved["machine"]["processor"] = "another"
    (here / "other.json").write_text(json.dumps(saved))
    done = called("now.json", "--against", "other.json")
    assert done.exit_code == 2
    assert "not comparable: processor another, now" in done.stderr


def test_a_damaged_run_is_refused(here, saved):
    for name, content in {
        "cut.json": json.dumps(saved)[:500],
        "list.json": "[]",
        "odd.json": json.dumps(saved | {"rows": {"FP32": {}}}),
        "less.json": json.dumps(saved | {"peaks": {}}),
    }.items():
        (here / name).write_text(content)
        done = called(name)
        assert done.exit_code == 2, name
        assert f"{name}: expected what" in done.stderr


def test_why_turns_every_knob(here):
    done = called(
        *("net.py:make", "--input-shape", "1,8,8", "--why"),
        *("--json", "why.json", *FEW),
    )
    assert done.exit_code == 0, done.output
    for cause in (
        *("layout", "bfloat16", "not fused", "Flatten", "exact sums"),
        *("one image", "all threads", "simulation", "warm-up", "nothing"),
    ):
        assert cause in done.stdout, cause
    assert "Layers: billion" in done.stdout
    found = json.loads((here / "why.json").read_text())
    assert found["left_out"] == {} and found["rates"]["onnx_runtime"]
    rates = [v for one in found["rates"].values() for v in one.values()]
    # A peak is that of a product, and no layer's.
    assert found["peaks"]["INT8"] not in rates


def test_an_interrupted_bench_promises_nothing(here, monkeypatch):
    def stopped(*given, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr(knobs, "measured", stopped)
    done = called("net.py:make", "--input-shape", "1,8,8", "--why", *FEW)
    assert done.exit_code == 130
    assert "interrupted; nothing was written" in done.stderr


WRONG = {
    "resnet9": "did you mean resnet8?",
    "net.py:made --input-shape 1,8,8": "no function or class made",
    "net.py:make": "expected --input-shape C,H,W",
    "net.py:make --input-shape 1,8": "expected --input-shape C,H,W",
    "net.py:make --input-shape 3,8,8": "channels",
    "net.py:make --input-shape 1,8,8 --threads 0": "--threads 0: expected",
    "net.py:make --input-shape 1,8,8 --threads two": "--threads two: expect",
    "net.py:make --input-shape 1,8,8 --threads 1,9999": "expected at most",
    f"net.py:make --input-shape 1,8,8 --seed {2**31}": "0<=x<=2147483647",
    "net.py:make --input-shape 1,8,8 --against no.json": "cannot be read",
    "net.py:make --data images.npz --calibration 2000": "1097 images",
    "net.py:make --data float.npz": "expected uint8 pixels",
    "no.json": "no.json cannot be read",
}


@pytest.mark.parametrize("arguments", WRONG)
def test_what_is_wrong_ends_in_one_sentence(here, digits, arguments):
    pixels = digits.pixels[:, None].astype(np.float32)
    np.savez(here / "float.npz", images=pixels)
    done = called(*arguments.split())
    assert done.exit_code == 2, done.output
    last = done.stderr.splitlines()[-1]
    assert last.startswith("Error: ") and WRONG[arguments] in last
    assert "Traceback" not in done.output


@pytest.mark.parametrize("option", ["--json", "--page"])
@pytest.mark.parametrize("place", ["file/report", "folder"])
def test_a_report_without_a_place_is_told_before_measuring(
    tmp_path, monkeypatch, option, place
):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    monkeypatch.setattr(
        bench_command, "_measured", lambda *_: pytest.fail("it measured")
    )
    done = called("net.py:make", option, tmp_path / place)
    assert done.exit_code == 2 and str(tmp_path / place[:4]) in done.output
    assert done.output.count("\n") == 1
    assert not [*(tmp_path / "folder").iterdir()]
