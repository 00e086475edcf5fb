"""The data set: verified or refused with advice, split and drawn by seed."""

import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import filelock
import numpy as np
import pytest
import torch
from torchvision import transforms
from torchvision.datasets import CIFAR10

from ptq import paths
from ptq.data import cifar10, image_sets

NOWHERE = "http://127.0.0.1:9"
TARBALL = cifar10.PNG_PACKAGE.file
SOURCES = (
    f"{cifar10.PNG_PACKAGE.file} in ",
    "official files in ",
    "official download",
    cifar10.PNG_PACKAGE.name,
)
ADVICE = ("PTQ_DATA_DIR", "data_dir", TARBALL, "cifar-10-python.tar.gz")


@pytest.fixture
def no_source(npm, monkeypatch):
    """Neither source beyond the folder gives CIFAR-10."""
    monkeypatch.setattr(CIFAR10, "url", f"{NOWHERE}/cifar.tar.gz")
    # Child processes do not see the line above, but they do see this.
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, NOWHERE)
    monkeypatch.setattr("urllib.request._opener", None)
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("NO_PROXY", "")


def refusal(folder):
    with pytest.raises(cifar10.DataError) as caught:
        cifar10.load(folder)
    return str(caught.value)


@pytest.fixture
def start(no_source, tmp_path):
    """Start the command that fetches, in a process of its own."""
    with ExitStack() as stack:

        def run(prelude=""):
            code = f"{prelude}from ptq.cli.commands import main; main()"
            command = [sys.executable, "-c", code, "data"]
            process = subprocess.Popen(
                [*command, "--folder", tmp_path],
                cwd=paths.REPOSITORY,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(process)
            # A process that waits for ever shall fail the test, not hang it.
            limit = threading.Timer(900, process.kill)
            limit.start()
            stack.callback(limit.cancel)
            stack.callback(process.kill)
            return process

        yield run


def test_split_is_seeded_disjoint_and_complete():
    train, validation = image_sets.split(42)
    assert (len(train), len(validation)) == (45_000, 5_000)
    both = torch.cat([train, validation]).sort().values
    assert torch.equal(both, torch.arange(50_000))
    assert all(map(torch.equal, image_sets.split(42), (train, validation)))
    assert not torch.equal(image_sets.split(43)[1], validation)


def test_split_and_draw_are_the_same_everywhere():
    # The shipped network and every record rest on these images.
    train, validation = image_sets.split(42)
    drawn = image_sets.draw(train, 5, 42)
    assert validation[:5].tolist() == [17408, 40845, 3378, 22188, 44921]
    assert drawn.tolist() == [40087, 43536, 35059, 36956, 39575]


def test_draw_is_seeded_and_without_repeats():
    indices = torch.arange(100, 200)
    drawn = image_sets.draw(indices, 30, seed=1)
    assert len(set(drawn.tolist())) == 30
    assert set(drawn.tolist()) <= set(indices.tolist())
    assert torch.equal(image_sets.draw(indices, 30, seed=1), drawn)
    assert not torch.equal(image_sets.draw(indices, 30, seed=2), drawn)
    everything = image_sets.draw(indices, 100, seed=1).sort().values
    assert torch.equal(everything, indices)


@pytest.mark.parametrize("count", [-1, 0, 101])
def test_draw_refuses_impossible_counts(count):
    with pytest.raises(ValueError, match=f"count={count}.*1 to 100"):
        image_sets.draw(torch.arange(100), count, seed=1)


def test_normalize_is_that_of_torchvision():
    levels = torch.arange(256, dtype=torch.uint8).repeat(12)
    pixels = levels.reshape(1, 3, 32, 32)
    theirs = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)]
    )(pixels[0].permute(1, 2, 0).numpy())
    before = pixels.clone()
    ours = image_sets.normalize(pixels, 0.5, 0.5)
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours[0], theirs, rtol=0, atol=1e-6)
    assert (ours.min(), ours.max()) == (-1, 1)
    assert torch.equal(pixels, before)


def test_normalize_takes_a_mean_for_each_channel():
    pixels = torch.arange(24, dtype=torch.uint8).reshape(1, 3, 2, 4)
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.25, 1.0)
    theirs = transforms.Normalize(mean, std)(pixels / 255)
    torch.testing.assert_close(
        image_sets.normalize(pixels, mean, std), theirs
    )


def test_failing_sources_are_all_named_with_advice(no_source, tmp_path):
    folder = tmp_path / "data"
    message = refusal(folder)
    for part in (*SOURCES, *ADVICE, str(folder), "refused", "SHA-512"):
        assert part in message
    assert not list(folder.glob("*.npz"))


@pytest.mark.parametrize("name", [TARBALL, "cifar-10-python.tar.gz"])
def test_damaged_archive_of_the_user_is_named_and_kept(
    no_source, tmp_path, name, monkeypatch
):
    # torchvision can open a file's URL but not read it: a download that
    # breaks off, which must not have been written over the archive.
    monkeypatch.setattr(CIFAR10, "url", Path(__file__).as_uri())
    archive = tmp_path / name
    archive.write_bytes(b"half of it")
    (line,) = (
        line
        for line in refusal(tmp_path).splitlines()
        if line.startswith("- ") and str(archive) in line.partition(": ")[2]
    )
    assert f" in {tmp_path}: " in line
    assert archive.read_bytes() == b"half of it"


def write_arrays(path, **changes):
    """An archive of the right names, but not of CIFAR-10."""
    wrong = dict.fromkeys(cifar10.CHECKSUMS, np.zeros(9, dtype=np.uint8))
    arrays = {k: v for k, v in (wrong | changes).items() if v is not None}
    np.savez(path, **arrays)


def change_entry(path, offset, value):
    """Change a byte of the first entry in the archive's directory."""
    write_arrays(path)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + offset] = value
    path.write_bytes(content)


DAMAGES = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("<html>not found</html>"),
    "one array": lambda path: np.save(path.open("wb"), np.zeros(9)),
    "other arrays": write_arrays,
    "missing array": lambda path: write_arrays(path, test_labels=None),
    "pickled": lambda path: write_arrays(path, test_labels=np.array([{}])),
    "marked encrypted": lambda path: change_entry(path, 8, 1),
    "other compression": lambda path: change_entry(path, 10, 99),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_damaged_file_is_named_and_never_loaded(no_source, tmp_path, damage):
    path = tmp_path / cifar10.FILE
    damage(path)
    with pytest.warns(UserWarning, match=str(path)):
        message = refusal(tmp_path)
    assert all(source in message for source in SOURCES)


@pytest.mark.parametrize("cut", [False, True])
def test_damage_to_the_real_file(cifar, no_source, tmp_path, cut):
    content = bytearray((paths.data_folder() / cifar10.FILE).read_bytes())
    content[len(content) // 2] ^= 1
    path = tmp_path / cifar10.FILE
    path.write_bytes(content[:-1000] if cut else content)
    with pytest.warns(UserWarning, match=str(path)):
        refusal(tmp_path)
    # pytest keeps folders of earlier runs: not with 184 MB in each.
    path.unlink()


def test_unwritable_folder_is_named(tmp_path):
    # Below a file nobody may write, not even root.
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "data"
    message = refusal(folder)
    assert str(folder) in message
    assert "PTQ_DATA_DIR" in message


def test_leftovers_of_a_killed_fetch_are_removed(no_source, tmp_path):
    (tmp_path / ".fetch-dead").mkdir()
    (tmp_path / ".fetch-dead" / "part").touch()
    refusal(tmp_path)
    assert not list(tmp_path.glob(".fetch-*"))


def test_two_processes_that_fail_both_say_so(start, tmp_path):
    (tmp_path / cifar10.FILE).write_bytes(b"damaged")
    for process in [start(), start()]:
        errors = process.communicate()[1]
        assert process.returncode == 1
        assert "Error: CIFAR-10 could not be fetched" in errors
        assert "Traceback" not in errors


def test_a_waiting_process_takes_what_another_fetched(cifar, start, tmp_path):
    verbose = "import logging; logging.basicConfig(level=logging.DEBUG); "
    with filelock.FileLock(tmp_path / ".fetch.lock"):
        process = start(verbose)
        assert any("not acquired" in line for line in process.stderr)
        source = paths.data_folder() / cifar10.FILE
        (tmp_path / cifar10.FILE).symlink_to(source)
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    assert "50,000 training and 10,000 test images" in output


def test_real_data(cifar):
    for part, count in (("train", 5000), ("test", 1000)):
        labels = getattr(cifar, f"{part}_labels")
        assert labels.bincount().tolist() == [count] * 10
        assert getattr(cifar, f"{part}_images").dtype == torch.uint8
    assert cifar.train_labels[:10].tolist() == [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]
    assert cifar.test_labels[:10].tolist() == [3, 8, 8, 0, 6, 6, 1, 6, 3, 1]
    sums = cifar.train_images.sum((0, 2, 3), dtype=torch.float64)
    assert (sums / (50_000 * 1024 * 255)).tolist() == pytest.approx(
        [0.49139968, 0.48215841, 0.44653091], abs=1e-7
    )
