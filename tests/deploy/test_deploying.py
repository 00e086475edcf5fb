"""From a float network to the card, whose numbers are computed again."""

import errno
import json
import os

import numpy as np
import onnxruntime
import pytest
import torch
from bs4 import BeautifulSoup
from scipy import stats
from traps import TRAPS

from ptq import paths
from ptq.deploy import (
    deploying,
    exports,
    inputs,
    network_source,
    outputs,
    risks,
)
from ptq.deploy.card import CARDS
from ptq.evidence.checks import InputError
from ptq.graph import UnsupportedError
from ptq.judge import judgement
from ptq.quantizer.network import QuantizedNetwork
from ptq.registry import UnknownNameError


def deploy(net, out, labels=True, **given):
    return deploying.deploy(
        net.network,
        net.calibration,
        net.test,
        net.labels if labels else None,
        out=out,
        **{"normalization": (0.5, 0.5), "rounds": 1} | given,
    )


@pytest.fixture(scope="module")
def folder(net, tmp_path_factory):
    return tmp_path_factory.mktemp("deploy")


@pytest.fixture(scope="module")
def card(net, folder):
    return deploy(net, folder, notes=["a <note>"])


def session(folder, name):
    return onnxruntime.InferenceSession(
        folder / name, providers=["CPUExecutionProvider"]
    )


def test_outputs_are_those_of_both_networks(card, folder, net):
    images = net.test[:, None].astype(np.float32) / 255 * 2 - 1
    with torch.no_grad():
        exact = net.network(torch.from_numpy(images)).numpy()
    assert np.abs(np.load(folder / "float.npy") - exact).max() < 1e-4
    for name, logits in (
        ("float.onnx", exact),
        ("network.onnx", np.load(folder / "int8.npy")),
    ):
        (found,) = session(folder, name).run(["logits"], {"images": images})
        alike = found.argmax(1) == logits.argmax(1)
        assert alike.mean() > 0.998, name


def test_accuracy_and_flips_are_those_of_the_files(card, folder, net):
    right, right_too = (
        np.load(folder / name).argmax(1) == net.labels
        for name in ("float.npy", "int8.npy")
    )
    (row,) = card.judgement.rows
    assert row.lost == (right & ~right_too).sum()
    assert row.gained == (~right & right_too).sum()
    wilson = stats.binomtest(int(right_too.sum()), len(right)).proportion_ci(
        method="wilson"
    )
    assert row.accuracy.value == right_too.mean() > 0.8
    assert (row.accuracy.low, row.accuracy.high) == pytest.approx(
        (wilson.low, wilson.high)
    )
    assert card.verdict == row.verdict
    assert np.array_equal(np.load(folder / "labels.npy"), net.labels)


def test_sizes_work_and_ranges(card, folder, net):
    assert card.parameters == 72 + 16 + 8 * 72 + 8 + 1290
    rows = {row.layer: row for row in card.rows}
    macs = {"conv": 72 * 64, "again": 8 * 72 * 64, "fc": 1280}
    assert {n: row.macs for n, row in rows.items()} == macs
    assert rows["again"].bytes == 8 * 72 + 4 * 8 and rows["again"].bits == 8
    for name in ("network.onnx", "float.onnx", "network.ptq"):
        assert card.files[name] == (folder / name).stat().st_size
    # Two results of 8 x 8 x 8 live at a time, and a third while they add.
    peaks = {name: peak.bytes for name, peak in card.memory.items()}
    assert peaks == {"float": 4 * 3 * 512, "INT8": 3 * 512}
    images = torch.from_numpy(net.calibration[:, None]) / 127.5 - 1
    with torch.no_grad():
        first = net.network.bn(net.network.conv(images)).relu()
    assert rows["conv"].low == 0
    assert rows["conv"].high == pytest.approx(float(first.max()), rel=1e-4)


def test_the_saved_network_is_what_the_file_holds(card, folder, net):
    saved = QuantizedNetwork.load(folder / "network.ptq")
    pixels = torch.from_numpy(net.test[:200, None])
    found = saved(pixels).argmax(1).numpy()
    assert (found == np.load(folder / "int8.npy")[:200].argmax(1)).all()
    assert all(check.passed for check in card.checks)


def test_each_file_was_loaded_again_and_is_listed(card, folder):
    found = {check.name: check.found for check in card.checks}
    page = (folder / "card.html").read_text()
    for name in ("network.onnx", "network.ptq"):
        assert "what was judged for 256 of 256 images" in found[name]
        size = (folder / name).stat().st_size
        assert name in page and f"{size:,} B" in page + str(card)


def test_one_kind_of_file_is_chosen(net, card, folder, tmp_path, monkeypatch):
    (tmp_path / "network.onnx").write_bytes(b"of another network")
    chosen = deploy(net, tmp_path, export="packed")
    assert not (tmp_path / "network.onnx").exists()
    assert chosen.files.keys() == {"float.onnx", "network.ptq"}
    packed = [one / "network.ptq" for one in (folder, tmp_path)]
    assert packed[0].read_bytes() == packed[1].read_bytes()
    assert len(chosen.load.splitlines()) == 4
    monkeypatch.chdir(tmp_path)
    scope = {}
    exec(chosen.load, scope)
    expected = np.load("int8.npy")[: len(scope["classes"])].argmax(1)
    assert (scope["classes"] == expected).all()


@pytest.mark.parametrize("kind", ["onnx", "packed"])
def test_a_file_of_another_network_is_found(net, folder, tmp_path, kind):
    """What was written is asked, not what was meant to be written."""
    ran, images = np.load(folder / "int8.npy"), torch.from_numpy(net.test)
    network = QuantizedNetwork.load(folder / "network.ptq")
    other = network.copy()
    other.integers["fc"].codes.neg_()
    exports.write(other, [kind], tmp_path)
    with pytest.raises(UnsupportedError, match="loaded again, it predicts"):
        exports.check(network, [kind], tmp_path, images[:, None], ran)


@pytest.mark.parametrize("channels", [1, 3])
def test_five_lines_load_it(card, folder, net, monkeypatch, channels):
    monkeypatch.chdir(folder)
    code = card.load
    if channels == 3:
        other = QuantizedNetwork.load("network.ptq")
        # As it is kept, in float32; the code has the number that was given.
        narrow = float(np.float32(0.4))
        other.normalization = (0.5, 0.5, 0.5), (0.5, narrow, 0.5)
        code = deploying.loading.lines(
            other, torch.zeros(1, dtype=torch.uint8)
        )
        assert "[[0.4]]" in code
        np.save("example.npy", np.full((1, 3, 1, 1), 51, np.uint8))
        scope = {}
        exec("\n".join(code.splitlines()[:1] + code.splitlines()[3:4]), scope)
        assert scope["images"].ravel() == pytest.approx([-0.6, -0.75, -0.6])
        return
    scope = {}
    exec(code, scope)
    assert len(code.splitlines()) == 5
    expected = np.load("int8.npy")[: len(scope["classes"])].argmax(1)
    assert len(expected) and (scope["classes"] == expected).all()


def test_card_as_json_and_page(card, folder):
    told = json.loads((folder / "card.json").read_text())
    assert told["verdict"] == card.verdict and len(told["rows"]) == 3
    assert told["times"][0]["speedup"]["low"] is None  # too few rounds
    html = (folder / "card.html").read_text()
    page = BeautifulSoup(html, "html.parser")
    assert not page.find_all(["script", "img", "link"]) and "http" not in html
    text = " ".join(page.get_text(" ").split())
    for sentence in [*card.risks, card.verdict, "network.onnx"]:
        assert " ".join(sentence.split()) in text, sentence
    assert "a <note>" in card.risks and "a <note>" in str(card)
    assert max(map(len, str(card).split("Load it")[0].splitlines())) <= 78


def test_times_are_named_and_not_judged_after_one_round(card):
    *single, (batch, mode) = [(t.batch, t.mode) for t in card.times]
    assert single == [(1, "hot"), (1, "cold")] and mode == "hot"
    assert batch in (2, 4, 8, 16, 32, 64)
    for one in card.times:
        assert set(one.milliseconds) == {"float", "INT8", "float in PyTorch"}
        assert all(value > 0 for value in one.milliseconds.values())
        assert one.time_verdict in ("too few rounds", "not judged")


def test_without_labels_there_is_the_disagreement(net, tmp_path):
    card = deploy(net, tmp_path, labels=False)
    (row,) = card.judgement.rows
    first, second = (
        np.load(tmp_path / name).argmax(1)
        for name in ("float.npy", "int8.npy")
    )
    assert row.accuracy is None
    assert row.disagreement.value == (first != second).mean()
    assert any("no labels" in risk for risk in card.risks)
    assert not (tmp_path / "labels.npy").exists()
    assert "whatever the labels" in " ".join(str(card).split())


def test_what_was_computed_is_not_computed_again(net, card, folder, tmp_path):
    class Stopped(Exception):
        pass

    def stop(text):
        if text.startswith("INT8: 512"):
            raise Stopped

    with pytest.raises(Stopped):
        deploy(net, tmp_path, tell=stop)
    parts = {p: p.stat().st_ino for p in (tmp_path / "parts").iterdir()}
    assert len(parts) == 5 + 2 and not (tmp_path / "card.json").exists()
    damaged = next(iter(parts))
    damaged.write_bytes(b"")
    whole = deploy(net, tmp_path)
    for path, inode in parts.items():
        assert (path.stat().st_ino == inode) == (path != damaged)
    for name in ("float.npy", "int8.npy", "network.onnx", "network.ptq"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()
    assert whole.judgement == card.judgement
    # Another network's parts are its own, and the old ones go.
    deploy(net, tmp_path, weight_bits=7)
    left = {p.name for p in (tmp_path / "parts").iterdir()}
    assert len(left) == 10 and len(left & {p.name for p in parts}) == 5


def flipped(path):
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)


def saved_anew(change):
    return lambda path: np.save(path, change(np.load(path)))


DAMAGES = {
    "a bit": flipped,
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "rows rolled": saved_anew(lambda kept: np.roll(kept, 1, 0)),
    "another shape": saved_anew(lambda kept: kept[:, :4]),
    "texts": saved_anew(lambda kept: kept.astype(str)),
    "a zip": lambda path: np.savez(path.open("wb"), a=np.zeros(3)),
    "another part": lambda path: path.write_bytes(
        next(p for p in path.parent.iterdir() if p != path).read_bytes()
    ),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_part_is_made_anew(tmp_path, kind):
    keeper = outputs.Kept(tmp_path, lambda text: None)
    images = torch.rand(300, 6)
    made = keeper.of("net", "key", torch.sin, images)
    for path in tmp_path.iterdir():
        DAMAGES[kind](path)
        again = keeper.of("net", "key", torch.sin, images)
        np.testing.assert_array_equal(again, made)


def test_a_warning_is_a_risk(net, tmp_path):
    fresh = network_source.read(f"{net.folder / 'net.py'}:make").network
    images = net.calibration[:8], net.test[:8]
    card = deploying.deploy(
        fresh, *images, out=tmp_path, normalization=(0.5, 0.5), rounds=1
    )
    assert any("was the checkpoint loaded?" in risk for risk in card.risks)


@pytest.mark.parametrize(
    "mean, std, told", [(0.5, 0.5, 0), (0, 1, 1), (0, 0.5, 1)]
)
def test_another_normalization_than_the_training_s_is_told(
    net, mean, std, told
):
    """Accuracy alone may not show it, and there may be no labels."""
    images = torch.from_numpy(net.calibration[:, None]).float() / 255
    found = risks.of_training(net.network, (images - mean) / std)
    assert len([risk for risk in found if "normalization" in risk]) == told


def test_without_bn_nothing_is_told_of_the_training():
    assert risks.of_training(torch.nn.Conv2d(1, 2, 3), torch.ones(1)) == []


def test_a_card_is_of_the_files_beside_it(net, tmp_path, monkeypatch):
    for name in ("card.json", "card.html", "labels.npy"):
        (tmp_path / name).write_text("of an earlier call")
    monkeypatch.setattr(deploying.times, "measured", stopped)
    with pytest.raises(KeyboardInterrupt):
        deploy(net, tmp_path, labels=False)
    assert (tmp_path / "network.onnx").exists()
    left = {path.suffix for path in tmp_path.iterdir()}
    assert not left & {".json", ".html"}
    assert not (tmp_path / "labels.npy").exists()


@pytest.mark.parametrize("fails", CARDS)
def test_both_cards_are_written_or_none(card, tmp_path, monkeypatch, fails):
    def limited(path, content):
        if path.name == fails:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
        written(path, content)

    written = paths.write_whole
    (tmp_path / "card.html").write_text("of an earlier call")
    monkeypatch.setattr(paths, "write_whole", limited)
    with pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
        card.write(tmp_path)
    assert not [*tmp_path.iterdir()]


def stopped(*given):
    raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["sum, ReLU behind it", "gate"])
def test_traps_go_through(name, tmp_path, monkeypatch):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = TRAPS[name]()
        images = torch.rand(40, 3, 16, 16) * 2 - 1
        network.train()(images)
    card = deploying.deploy(
        network, images[:16], images[8:], out=tmp_path, rounds=1
    )
    assert network.training
    assert card.judgement.rows[0].accuracy is None
    assert any("8 of the 32 images" in risk for risk in card.risks)
    assert any("rest on 16 images" in risk for risk in card.risks)
    assert bool(card.in_float) == (name == "gate")
    monkeypatch.chdir(tmp_path)
    scope = {}
    exec(card.load, scope)
    assert (
        scope["classes"]
        == np.load("int8.npy")[: len(scope["classes"])].argmax(1)
    ).all()


def test_narrow_weights_are_shown_to_lose(net, tmp_path):
    card = deploy(net, tmp_path, weight_bits=2, keep_float=["fc"])
    assert card.verdict == "worse"
    for condition in judgement.CONDITIONS:
        assert card.failing(condition) == ["INT8"]
    assert "fc" in card.in_float
    assert any("points of accuracy" in risk for risk in card.risks)


def test_rounding_sees_fewer_images_where_they_are_large(
    net, tmp_path, monkeypatch
):
    """Not more than their results have room for, and the card says it."""
    cards = []
    for most in (10**9, 10 * 2 * 4 * 3 * 512):
        monkeypatch.setattr(inputs, "MOST_BYTES", most)
        out = tmp_path / str(most)
        cards.append(deploy(net, out, weight_bits=3, rounding="gptq"))
    told = [card.recipe["rounding"] for card in cards]
    assert told == ["GPTQ, on 64 images", "GPTQ, on 10 images"]
    whole, few = (
        QuantizedNetwork.load(tmp_path / name / "network.ptq")
        for name in map(str, (10**9, 10 * 2 * 4 * 3 * 512))
    )
    assert not whole.integers["fc"].codes.equal(few.integers["fc"].codes)


WRONG = {
    "uint8 pixels, and no normalization": {"normalization": None},
    "expected .mean, std.": {"normalization": (0.5, 0.5, 0.5)},
    "std above 0": {"normalization": (0.5, 0)},
    "from 0 to 255, divide by 255": {"normalization": (127.5, 127.5)},
    "divide by 255": {"normalization": (0, 255)},
    "mean, std. of pixels from 0 to 1": {"normalization": (0.5, np.inf)},
    "no such part after folding; it has": {"keep_float": "nope"},
    "keep_float='cov1': the network .* near are conv": {"keep_float": "cov1"},
    "classes: 3 names for 10 classes .a, b, c": {"classes": ["a", "b", "c"]},
    "classes: 'a' is there 3 times": {"classes": [*"aaabcdefgh"]},
    "seed=-1: expected": {"seed": -1},
    "margin=0: expected": {"margin": 0},
    "rounds=0: expected": {"rounds": 0},
    "observer='max': expected one of": {"observer": "max"},
    "export=onnx,tflite: expected one or several of onnx, packed": {
        "export": "onnx,tflite"
    },
    "export=: expected": {"export": []},
}


@pytest.mark.parametrize("sentence", WRONG)
def test_wrong_choices_are_told(net, tmp_path, sentence):
    refusals = InputError, UnsupportedError, UnknownNameError
    with pytest.raises(refusals, match=sentence) as told:
        deploy(net, tmp_path, **WRONG[sentence])
    assert "\n" not in str(told.value)


def given(pixels=None, labels=None, calibration=None, network=None):
    return lambda net: (
        network or net.network,
        net.calibration if calibration is None else calibration(net),
        net.test if pixels is None else pixels(net),
        net.labels if labels is None else labels(net),
    )


UNFIT = {
    "images differ: 10": given(labels=lambda net: net.labels[:10]),
    "expected 0 to 9, for there are 10": given(
        labels=lambda net: net.labels + 1
    ),
    "to have 1 channels, but got 3": given(
        pixels=lambda net: np.stack([net.test] * 3, 1),
        calibration=lambda net: np.stack([net.calibration] * 3, 1),
    ),
    "1 x 8 x 8 uint8 for calibration, 1 x 8 x 8 float32": given(
        pixels=lambda net: net.test.astype(np.float32)
    ),
    "float64 from 0 to 255: expected uint8": given(
        pixels=lambda net: net.test.astype(float)
    ),
    "not shown to be more than chance": given(
        labels=lambda net: np.roll(net.labels, 1)
    ),
    "expected a torch.nn.Module": given(network="net"),
    "one image for the test": given(
        pixels=lambda net: net.test[:1], labels=lambda net: net.labels[:1]
    ),
    "chance.* .noticed before: images range from 0 to 1, the input": given(
        pixels=lambda net: (net.test / 255).astype(np.float32),
        labels=lambda net: np.roll(net.labels, 1),
        calibration=lambda net: (net.calibration / 255).astype(np.float32),
    ),
    "one number for each of two or more": given(
        network=torch.nn.Conv2d(1, 2, 3)
    ),
}


@pytest.mark.parametrize("sentence", UNFIT)
def test_what_does_not_fit_is_told(net, tmp_path, sentence):
    network, calibration, test, labels = UNFIT[sentence](net)
    refusals = InputError, UnsupportedError, UnknownNameError
    with pytest.raises(refusals, match=sentence) as told:
        deploying.deploy(
            *(network, calibration, test, labels),
            out=tmp_path,
            normalization=(0.5, 0.5),
            rounds=1,
        )
    assert "\n" not in str(told.value)
    assert {p.name for p in tmp_path.iterdir()} <= {".lock", "parts"}
