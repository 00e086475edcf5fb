"""``python -m ptq quantize``: its example, its exit status, its sentences."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from ptq.book.pages import frontpage
from ptq.cli import commands
from ptq.deploy import exports, image_source, inputs, outputs
from ptq.evidence.checks import InputError
from ptq.running import pipeline

DATA = "images", "darker"


def called(*arguments):
    return CliRunner().invoke(
        commands.main, ["quantize", *map(str, arguments)]
    )


def examples():
    """The commands in the help, as a shell takes them apart."""
    text = called("--help").stdout
    found = re.findall(r"python -m ptq quantize .*?[^\\]\n", text, re.S)
    return [shlex.split(one.replace("\\\n", " "))[4:] for one in found]


def test_the_example_of_the_help_works(here):
    example, _ = examples()
    done = called(*example, "--rounds", 1)
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


def test_the_example_of_the_automatic_mode_works(here):
    _, example = examples()
    done = called(*example, "--rounds", 1, "--margin", 2)
    assert done.exit_code == 0, done.output
    told = json.loads((here / "small" / "trials.json").read_text())
    card = json.loads((here / "small" / "card.json").read_text())
    assert told == card["choice"] and told["missed"] == ""
    chosen = told["trials"][told["chosen"] - 1]
    size = (here / "small" / "network.ptq").stat().st_size
    assert chosen["bytes"] == size <= told["target_bytes"]
    page = (here / "small" / "card.html").read_text()
    for trial in told["trials"]:
        assert trial["method"] in page and f"{trial['bytes']:,}" in page
    text = " ".join(done.stdout.split())
    assert f"because {told['why']}" in text
    assert "420 images, with labels, drawn by seed 42" in text
    assert "421 images, with labels" in text and "best found" not in text
    said = [s for s in done.stderr.splitlines() if s.startswith("trial ")]
    assert len(said) == len(told["trials"]) > 1


def test_a_missed_target_is_told_and_the_best_is_written(here):
    done = called(
        *("net.py:make", "--checkpoint", "w.pt", "--data", "images.npz"),
        *("--out", "out", "--rounds", 1, "--margin", 2),
        *("--target-bytes", 100, "--keep-float", "conv"),
    )
    assert done.exit_code == 0, done.output
    last = done.stderr.splitlines()[-1]
    assert "the best found; the target is missed by" in last
    assert f"not all that was asked: {last.split('; ')[1]}" in " ".join(
        done.stdout.split()
    )
    told = json.loads((here / "out" / "trials.json").read_text())
    sizes = [t["bytes"] for t in told["trials"] if t["holds"]]
    size = (here / "out" / "network.ptq").stat().st_size
    assert told["trials"][told["chosen"] - 1]["bytes"] == min(sizes) == size
    assert len(told["trials"]) > 1
    for trial in told["trials"]:
        assert trial["recipe"]["keep_float"] == ["conv"]


def test_images_that_judge_decide_nothing(here):
    given = "net.py:make", "--checkpoint", "w.pt", "--margin", 2, "--auto"
    arrays = dict(np.load("images.npz"))
    whole = image_source.Images(
        torch.arange(len(arrays["images"])), arrays["labels"]
    )
    _, rest = image_source.split(whole, None, 42)
    _, judged = image_source.split(rest, len(rest) // 2, 42)
    arrays["images"][judged.pixels.numpy()] //= 2
    np.savez("darker.npz", **arrays)
    found = []
    for data in DATA:
        done = called(*given, "--data", f"{data}.npz", "--out", data)
        assert done.exit_code == 0, done.output
        told = json.loads((here / data / "trials.json").read_text())
        for trial in told["trials"]:
            trial.pop("cpu_seconds")
        found.append(told)
    assert found[0] == found[1]
    kept = [{p.name for p in Path(d, "trials").iterdir()} for d in DATA]
    assert kept[0] == kept[1]
    ran = [np.load(Path(data, "int8.npy")) for data in DATA]
    assert not np.array_equal(*ran)


@pytest.mark.parametrize("how", [(), ("--auto", "--margin", 2)])
def test_an_interruption_ends_in_one_sentence(here, monkeypatch, how):
    def interrupted(*given, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr(inputs, "quantize", interrupted)
    given = "net.py:make", "--data", "images.npz", "--out", "out"
    done = called(*given, *how)
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
    "net.py:make --data images.npz --auto": "420 images are too few",
    "net.py:make --data images.npz --target-bytes 9 --export onnx": "packed",
    "net.py:make --data images.npz --auto --observer mse": "--observer: the",
    "net.py:make --data images.npz --auto --weight-bits 8": "--weight-bits",
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


SIX = "import numpy as np\ndef pixels(): return np.zeros((6, 1, 8, 8))\n"
TAKEN = {
    "out/network.ptq": "--checkpoint w.pt",
    "out/labels.npy": "--checkpoint out/labels.npy",
    "out/trials.json": "--classes out/trials.json",
    "out/float.onnx": "--calibration-data out/float.onnx:pixels",
    "./network.onnx": "--checkpoint network.onnx --out .",
}


@pytest.mark.parametrize("earlier", [False, True])
@pytest.mark.parametrize("place", TAKEN)
def test_no_input_is_overwritten(here, place, earlier):
    """Named as it is, or behind a link; before anything is read."""
    given = f"net.py:make --data images.npz --out out {TAKEN[place]}".split()
    place = Path(place)
    if earlier:
        fill(place.parent)
    place.parent.mkdir(exist_ok=True)
    if given[-1] == "w.pt":
        place.symlink_to("../w.pt")
    else:
        place.write_text(SIX)
    before = place.read_bytes()
    done = called(*given)
    assert done.exit_code == 2, done.output
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"Error: {place}: would be written or removed")
    assert last.endswith("; give another --out") and "the input" in last
    assert "reads images" not in done.stderr
    assert place.read_bytes() == before
    assert earlier or not (place.parent / ".lock").exists()


def fill(folder):
    """As a call that was interrupted."""
    for part in (exports.PARTS, "trials"):
        Path(folder, part).mkdir(parents=True)
    content = outputs.sealed(b"x", "kept")
    Path(folder, exports.PARTS, "kept.npy").write_bytes(content)


OWN = ["labels.npy", "float.onnx", "card.json", "parts/mine.npy", "int8.npy"]


@pytest.mark.parametrize("name", OWN)
def test_a_file_of_no_earlier_run_is_kept(here, name):
    own = Path(name)
    own.parent.mkdir(exist_ok=True)
    own.write_text("{}")
    done = called("net.py:make", "--data", "images.npz", "--out", ".")
    assert done.exit_code == 2, done.output
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"Error: {name}: would be overwritten or removed")
    assert last.endswith("of this command; give another --out")
    assert own.read_text() == "{}" and not Path(".lock").exists()


@pytest.mark.parametrize("out", ["pictures", "pictures/small", "link/small"])
def test_a_folder_inside_the_images_is_refused(here, out):
    Path("pictures", "cat").mkdir(parents=True)
    Path("link").symlink_to("pictures")
    for given in ("--data", "--calibration-data"):
        also = ["--data", "images.npz"] * (given != "--data")
        done = called("net.py:make", given, "pictures", *also, "--out", out)
        assert done.exit_code == 2, done.output
        last = done.stderr.splitlines()[-1]
        assert last.startswith(f"Error: {out}: lies in the images pictures")
        assert last.endswith("give an --out outside of it")
    assert list(Path("pictures").iterdir()) == [Path("pictures/cat")]
    exports.refuse_overwriting("pictures-small", [], ["pictures"])
    exports.refuse_overwriting("pictures/.small", [], ["pictures"])


@pytest.mark.parametrize("left", ["card", "parts", "trials"])
def test_what_an_earlier_run_left_is_written_anew(here, left):
    inputs = ["net.py:make", "images.npz", "", "cat,dog"]
    files = ["labels.npy", "trials.json", "network.ptq", "parts/old.npy"]
    exports.refuse_overwriting("out", inputs)
    Path("out", "parts").mkdir(parents=True)
    for name in files:
        Path("out", name).write_bytes(b"")
    with pytest.raises(InputError):
        exports.refuse_overwriting("out", inputs)
    if left == "card":
        told = '{"recipe": {}, "judgement": {}, "verdict": "worse"}'
        Path("out", "card.json").write_text(told)
    else:
        path = Path("out", left, "a.npy" if left == "parts" else "a.json")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(outputs.sealed(b"x", "a"))
    exports.refuse_overwriting("out", inputs)


# What a torch without its eager quantization would be, as near as can be:
# this one needs its own package while it is imported itself.
WITHOUT_EAGER = """
import sys, torch, torch.fx
for name in [n for n in sys.modules if n.startswith("torch.ao")]:
    del sys.modules[name]
del torch.ao
sys.modules["torch.ao"] = None
"""
COMMAND = """
from ptq.cli import commands
commands.main(sys.argv[1:])
"""
LABORATORY = """
from ptq.experiment import laboratory
lab = laboratory.open_experiment()
print(lab.engine)
lab.build("naive")
"""


def without_eager(code, *arguments):
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_EAGER + code, *arguments],
        capture_output=True,
        text=True,
    )


def test_it_works_where_torch_has_no_eager_quantization(here):
    example, _ = examples()
    done = without_eager(COMMAND, "quantize", *example, "--rounds", "1")
    assert done.returncode in (0, 1) and "Net in INT8: " in done.stdout, (
        done.stderr
    )


def test_a_chapter_then_shows_the_committed_record(tmp_path):
    given = "run", "--only", "3", "--run-dir", str(tmp_path)
    done = without_eager(COMMAND, *given)
    missing = f"torch {torch.__version__} has no eager quantized kernels"
    assert f"03_bias_correction is not executed: {missing}" in done.stdout, (
        done.stderr
    )
    path = tmp_path / "chapters" / "03_bias_correction.ipynb"
    page = nbformat.read(path, as_version=4)
    assert missing in page.cells[1].source
    frame, kept = frontpage.committed()
    for label in frame.label:
        assert f"| {label} |" in page.cells[1].source
    for fact in (kept["commit"], kept["machine"]["processor"]):
        assert fact in page.cells[1].source
    assert not any(c.get("outputs") for c in page.cells)
    assert "show.quote" not in "".join(c.source for c in page.cells)
    # What would show functions names them, where it cannot show them.
    shown = [c for c in page.cells if c.source.startswith("show.source(")]
    assert shown and not any("tags" in c.metadata for c in shown)
    assert pipeline.earlier(tmp_path)["chapters"] == {}


def test_a_notebook_then_opens_and_says_what_is_missing(cifar):
    done = without_eager(LABORATORY)
    assert done.stdout == "none\n", done.stderr
    last = done.stderr.splitlines()[-1]
    assert "EngineError: torch" in last and "committed results" in last
