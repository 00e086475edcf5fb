"""Any tool's files judged: right values, or a sentence that refuses."""

import io
import json
import os
import re
import shlex
import subprocess
import sys
import warnings
import zipfile
from html.parser import HTMLParser
from math import comb
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from conftest import case31

from ptq.cli import commands
from ptq.evidence.checks import InputError
from ptq.judge import candidates, judgement, network_outputs, reading


def worse(first, labels, count=60):
    """A network that loses ``count`` of the images the first had right."""
    other = first.copy()
    lost = np.flatnonzero(first == labels)[:count]
    other[lost] = (labels[lost] + 1) % 10
    return other


def logits(predictions, seed=1):
    """Outputs whose largest is the predicted class."""
    noise = np.random.default_rng(seed).normal(size=(len(predictions), 10))
    noise[np.arange(len(predictions)), predictions] = 9
    return noise.astype(np.float32)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A folder with the files of case 31, which is the working folder."""
    monkeypatch.chdir(tmp_path)
    first, second, labels = case31()
    for name, array in (
        ("fp32", first),
        ("int8", second),
        ("poor", worse(first, labels)),
        ("labels", labels),
    ):
        np.save(f"{name}.npy", array)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(commands.main, ["judge", *map(str, arguments)])


def refused(*arguments):
    """The one sentence of a refusal."""
    done = run(*arguments)
    assert done.exit_code == 2, done.output
    assert done.output.startswith("Error: ")
    assert done.output.count("\n") == 1
    return done.output


def judged(*arguments):
    """What the command prints as JSON."""
    done = run(*arguments, "--format", "json")
    assert done.exit_code == 0, done.output
    return json.loads(done.output)


def by_hand(first, other, labels):
    """Lost, gained and McNemar's p, image by image and by coins."""
    pairs = [
        (int(a) == int(y), int(b) == int(y))
        for a, b, y in zip(first, other, labels, strict=True)
    ]
    lost, gained = pairs.count((True, False)), pairs.count((False, True))
    n, few = lost + gained, min(lost, gained)
    tail = sum(comb(n, k) for k in range(few + 1)) / 2**n
    return lost, gained, min(1, 2 * tail)


def test_counts_and_p_values_by_hand():
    first, second, labels = case31()
    networks = {"a": first, "b": second, "c": worse(first, labels)}
    found = judgement.judge(networks, labels)
    assert found.accuracy.value == 0.7
    expected = [by_hand(first, networks[n], labels) for n in "bc"]
    assert expected[0] == (3, 1, 0.625)
    for row, (lost, gained, p) in zip(found.rows, expected, strict=True):
        assert (row.lost, row.gained) == (lost, gained)
        assert row.p == pytest.approx(p, rel=1e-9, abs=0)
        assert row.change.value == pytest.approx((gained - lost) / 1000)
        assert row.change.low < row.change.value < row.change.high
    assert found.rows[0].disagreement.value == 0.004
    assert [row.verdict for row in found.rows] == [
        "no difference shown",
        "worse",
    ]
    # Far below what approx takes for equal to zero.
    assert [row.p_holm for row in found.rows] == pytest.approx(
        [0.625, 2 * expected[1][2]], rel=1e-9, abs=0
    )


def test_classes_add_up_and_the_hurt_one_is_found():
    first, _, labels = case31()
    other = first.copy()
    cats = np.flatnonzero((first == labels) & (labels == 3))[:30]
    other[cats] = 5
    (row,) = judgement.judge({"a": first, "b": other}, labels).rows
    assert sum(c.lost for c in row.by_class) == row.lost == 30
    assert sum(c.images for c in row.by_class) == 1000
    assert [c.number for c in row.hurt] == [3]
    assert row.by_class[0].number == 3
    assert row.by_class[0].p_holm == pytest.approx(10 * 2 / 2**30)


def test_correction_by_class_covers_all_candidates():
    first, _, labels = case31()
    other = first.copy()
    other[np.flatnonzero((first == labels) & (labels == 3))[:8]] = 5
    p = 2 / 2**8
    one = judgement.judge({"a": first, "b": other}, labels).rows[0]
    two = judgement.judge({"a": first, "b": other, "c": other}, labels).rows[
        0
    ]
    assert one.by_class[0].p_holm == pytest.approx(10 * p)
    assert two.by_class[0].p_holm == pytest.approx(20 * p)


@pytest.mark.parametrize(
    ("lost", "gained", "n"), [(3, 1, 1000), (60, 10, 1000), (0, 0, 40)]
)
def test_smallest_change_that_could_have_been_shown(lost, gained, n):
    """Found by trying: a split of the flips, or of more if they must be."""

    def significant(few, flips):
        tail = sum(comb(flips, k) for k in range(few + 1)) / 2**flips
        return 2 * tail < 0.05

    labels = np.arange(n) % 4
    first = np.where(np.arange(n) < n - gained, labels, (labels + 1) % 4)
    other = labels.copy()
    other[:lost] = (labels[:lost] + 1) % 4
    (row,) = judgement.judge({"a": first, "b": other}, labels).rows
    flips = next(
        k for k in range(lost + gained, n + 1) if k and significant(0, k)
    )
    few = max(k for k in range(flips // 2 + 1) if significant(k, flips))
    assert row.detectable == pytest.approx((flips - 2 * few) / n)


@pytest.mark.parametrize("n", [560, 600, 760])
def test_labels_exclude_no_loss_that_equal_predictions_leave_open(n):
    labels = np.arange(n) % 10
    first = worse(labels, labels, 50)
    networks = {"a": first, "b": first}
    blind = judgement.judge(networks).rows[0]
    (row,) = judgement.judge(networks, labels).rows
    assert not blind.non_inferior and not row.non_inferior
    assert row.verdict == "no difference shown" and row.change.low > -0.005
    assert any("more images would decide" in note for note in row.notes)


def test_more_candidates_need_a_larger_change():
    """Of 6 flips all lost, p is 2 / 2**6: enough at 5 % for one of one."""
    labels = np.arange(400) % 4
    other = worse(labels, labels, 6)
    networks = {"a": labels, "b": other, "c": other, "d": other}
    for count, flips in ((2, 6), (4, 7)):
        asked = dict([*networks.items()][:count])
        row = judgement.judge(asked, labels, classes=10).rows[0]
        assert 2 / 2**flips < 0.05 / (count - 1) < 2 / 2 ** (flips - 1)
        assert row.detectable == pytest.approx(flips / 400)


def test_without_labels_the_disagreement_bounds_the_change(files):
    found = judged("fp32.npy", "int8.npy")["rows"][0]
    assert found["disagreement"]["value"] == 0.004
    assert found["change"] is None and found["by_class"] == []
    assert found["verdict"] == candidates.UNKNOWN
    wide = judged("fp32.npy", "int8.npy", "--margin", 2)["rows"][0]
    assert wide["verdict"] == "non-inferior"
    text = run("fp32.npy", "int8.npy").output
    assert "at most 0.40 points" in text


@pytest.mark.parametrize(
    "dtype", ["int8", "uint8", "int16", "int32", "uint32", "int64", "uint64"]
)
def test_any_integer_type(dtype):
    first, second, labels = (a.astype(dtype) for a in case31())
    (row,) = judgement.judge({"a": first, "b": second}, labels).rows
    assert (row.lost, row.gained) == (3, 1)


GIVEN = {
    "column": lambda a: a[:, None],
    "floats": lambda a: a.astype(np.float64),
    "half": lambda a: a.astype(np.float16),
    "list": lambda a: a.tolist(),
    "logits": logits,
    "integer outputs": lambda a: np.rint(9 * logits(a)).astype(np.int8),
    "probabilities": lambda a: np.exp(logits(a)) / np.exp(10),
    "one-hot": lambda a: np.eye(10)[a],
    "masked": lambda a: np.where(np.eye(10)[a] == 1, 0, -np.inf),
}


@pytest.mark.parametrize("kind", GIVEN)
def test_forms_of_predictions_have_the_same_right_value(kind):
    first, second, labels = case31()
    networks = {"a": GIVEN[kind](first), "b": second}
    (row,) = judgement.judge(networks, labels).rows
    assert (row.lost, row.gained, row.p) == (3, 1, 0.625)


@pytest.mark.parametrize("kind", ["column", "floats", "half", "list"])
def test_forms_of_labels_have_the_same_right_value(kind):
    first, second, labels = case31()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # as of a number beyond the type
        found = judgement.judge(
            {"a": first, "b": second}, GIVEN[kind](labels)
        )
    (row,) = found.rows
    assert (row.lost, row.gained, row.p) == (3, 1, 0.625)


def changed(array, index, value, dtype=None):
    array = array.astype(dtype or array.dtype)
    array[index] = value
    return array


BAD_LABELS = {
    "from 1": (lambda y: y + 1, r"labels: image 1 .* has 10"),
    "255": (lambda y: np.full_like(y, 255), "labels: image 0 .* has 255"),
    "one 255": (lambda y: changed(y, 7, 255), "labels: image 7 .* has 255"),
    "negative": (lambda y: changed(y, 4, -1), "labels: image 4 .* has -1"),
    "text": (lambda y: y.astype(str), "labels: text: expected class"),
    "nan": (lambda y: changed(y, 9, np.nan, float), "image 9 .* has nan"),
    "inf": (lambda y: changed(y, 9, np.inf, float), "image 9 .* has inf"),
    "half": (lambda y: y + 0.5, "labels: image 0 .* expected class numbers"),
    "bool": (lambda y: y > 4, "True and False"),
    "one-hot": (lambda y: np.eye(10)[y], r"shape \(1000, 10\).*argmax"),
    "row": (lambda y: y[None], r"shape \(1, 1000\)"),
    "one": (lambda y: y[0], r"shape \(\)"),
    "empty": (lambda y: y[:0], "labels: empty"),
    "short": (lambda y: y[:-3], "997 in labels, 1000 in"),
    "header": (lambda y: y[:-1], "header"),
    "shuffled": (
        lambda y: np.random.default_rng(0).permutation(y),
        "not shown to be more than chance",
    ),
    "none right": (lambda y: (y + 5) % 10, "right on 0 of 1,000"),
    "objects": (lambda y: np.array([{}] * 1000), "objects"),
    "masked": (
        lambda y: np.ma.array(y, mask=y == 3),
        "labels: .* values are masked",
    ),
    "rounded": (
        lambda y: changed(y, 3, 2049, np.float16),
        "labels: image 3 .* float16 is exact below 2048",
    ),
}


@pytest.mark.parametrize("kind", BAD_LABELS)
@pytest.mark.parametrize("of", [lambda a: a, logits], ids=["numbers", "out"])
def test_labels_that_mean_nothing_are_refused(kind, of):
    first, second, labels = case31()
    make, message = BAD_LABELS[kind]
    if kind == "none right":  # by either network
        first, second = labels, labels
    with pytest.raises(InputError) as caught:
        judgement.judge({"a": of(first), "b": of(second)}, make(labels))
    told = str(caught.value)
    expected = message if of is not logits else message.split(" .*")[0]
    assert re.search(expected, told), told
    assert "\n" not in told


BAD_OUTPUTS = {
    "nan": (changed(logits(case31()[1]), (5, 2), np.nan), "b: image 5 .*nan"),
    "inf": (changed(logits(case31()[1]), (5, 2), np.inf), "b: image 5 .*inf"),
    "no finite": (
        changed(logits(case31()[1]), 6, -np.inf),
        "b: image 6 .*-inf",
    ),
    "transposed": (
        logits(case31()[1]).T,
        r"b: shape \(10, 1000\).*transpose",
    ),
    "four": (logits(case31()[1])[:, :, None, None], r"b: shape .*reshape"),
    "scores": (np.linspace(0, 1, 1000), "b: image 1 .*threshold.*above 0.5"),
    "column of scores": (
        np.linspace(0, 1, 1000)[:, None],
        "b: image 1 .*threshold",
    ),
    "logits of one": (np.linspace(-4, 4, 1000), "b: image 1 .*logit above 0"),
    "text": (np.full(1000, "cat"), "b: text"),
    "complex": (np.ones((1000, 10), complex), "b: complex128"),
    "bool outputs": (np.eye(10, dtype=bool)[case31()[1]], "b: bool"),
    "other classes": (np.ones((1000, 11)), "a has 10, b has 11"),
    "class beyond": (
        changed(case31()[1], 8, 10),
        "a has 10 outputs.* b .* image 8 ",
    ),
    "fewer": (case31()[1][:-5], "1000 in a, 995 in b"),
    "empty": (np.empty((0, 10)), r"b: float64 of shape \(0, 10\)"),
    "no outputs": (
        np.empty((1000, 0)),
        r"b: float64 of shape \(1000, 0\): expected a row",
    ),
    "ragged": ([[1, 2], [3]], "b: "),
    "wrapped": (np.full(1000, 2**32 - 1, np.uint32), "b: image 0"),
    "masked": (
        np.ma.array(logits(case31()[1]), mask=logits(case31()[1]) < -2),
        "b: .* values are masked",
    ),
    "row": (case31()[1][None], r"b: shape \(1, 1000\): expected more than"),
}


@pytest.mark.parametrize("kind", BAD_OUTPUTS)
@pytest.mark.parametrize("labelled", [True, False])
def test_outputs_that_mean_nothing_are_refused(kind, labelled):
    first, _, labels = case31()
    other, message = BAD_OUTPUTS[kind]
    with pytest.raises(InputError) as caught:
        judgement.judge(
            {"a": logits(first), "b": other}, labels if labelled else None
        )
    told = str(caught.value)
    assert re.search(message, told), told
    assert "\n" not in told


def test_predictions_on_their_side_are_told_from_images():
    first, second, labels = case31()
    with pytest.raises(InputError, match=r"a: shape \(10, 1000\).*transpose"):
        judgement.judge({"a": logits(first).T, "b": second}, labels)


def test_outputs_on_their_side_are_told_whichever_they_are():
    first, second, labels = case31()
    right, turned = logits(first), logits(second).T
    for networks in (
        {"a": right, "b": turned},
        {"b": turned, "a": right},
        {"b": turned, "a": first},
    ):
        for given in ({}, {"classes": 10}, {"labels": labels}):
            with pytest.raises(
                InputError, match=r"^b: shape \(10, 1000\).*transpose"
            ):
                judgement.judge(networks, **given)


def test_two_networks_that_know_nothing_are_not_judged():
    _, _, labels = case31()
    always = np.zeros(1000, int)
    for predictions in (always, (labels + 1) % 10):
        with pytest.raises(InputError, match="nothing can be judged"):
            judgement.judge(
                {"a": predictions, "b": predictions}, labels, classes=10
            )


def test_candidate_in_another_order_gets_a_word_on_it():
    first, _, labels = case31()
    other = np.random.default_rng(3).permutation(first)
    (row,) = judgement.judge({"a": first, "b": other}, labels).rows
    assert row.verdict == "worse"
    assert any("same order" in note for note in row.notes)


def test_ties_and_equal_networks_are_told():
    first, _, labels = case31()
    tied = np.eye(10)[first]
    tied[:25, :] = 1
    notes = judgement.judge({"a": first, "b": tied}, labels).rows[0].notes
    assert any("25 images have several largest" in note for note in notes)
    notes = judgement.judge({"a": first, "b": first}, labels).rows[0].notes
    assert any("predicts the same as a" in note for note in notes)


@pytest.mark.parametrize("copied", ["fp32", "int8"])
def test_labels_that_are_predictions_are_doubted(copied):
    first, second, labels = case31()
    networks = {"fp32": first, "int8": second}
    told = judgement.judge(networks, networks[copied]).rows[0].notes
    assert [copied in note for note in told if "a copy of its" in note] == [
        True
    ]
    for one, truth in ((first, labels), (labels, labels)):
        notes = judgement.judge({"a": one, "b": one}, truth).rows[0].notes
        assert not any("a copy of its" in note for note in notes)


def test_number_of_classes_can_be_told_or_comes_from_the_data():
    labels = np.arange(40) % 5
    first = np.where(labels == 4, 0, labels)  # never predicts the last
    with pytest.raises(InputError, match="image 4 .* has 4"):
        judgement.judge({"a": first, "b": first}, labels)
    for told in ({"classes": 5}, {"class_names": list("abcde")}):
        found = judgement.judge({"a": first, "b": first}, labels, **told)
        assert found.classes == 5
    first = logits(labels)
    assert judgement.judge({"a": first, "b": first}, labels).classes == 10
    with pytest.raises(InputError, match="10 outputs an image: expected 5"):
        judgement.judge({"a": first, "b": first}, labels, classes=5)


def test_class_of_a_thousand():
    labels = np.arange(5000) % 1000
    first = labels.astype(np.uint16)
    other = first.copy()
    other[997::1000] = 3
    (row,) = judgement.judge({"a": first, "b": other}, labels).rows
    assert (row.by_class[0].number, row.by_class[0].lost) == (997, 5)
    assert len(row.by_class) == 1000 and not row.hurt


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"classes": "10"}, "classes='10': expected a number"),
        ({"classes": 2.5}, "classes=2.5: expected a whole number"),
        ({"classes": -3}, "classes=-3"),
        ({"class_names": "abcdefghij"}, "expected a list"),
        ({"class_names": list("abca")}, "'a' is there 2 times"),
        ({"class_names": ["a"], "classes": 3}, "1 names for 3 classes"),
        ({"networks": [0, 1]}, "networks: expected a dict from names"),
        ({"networks": {0: [0, 1], 1: [0, 1]}}, "expected a dict from names"),
    ],
)
def test_arguments_of_another_type_are_named(given, message):
    first, second, labels = case31()
    asked = {"networks": {"a": first, "b": second}, "labels": labels} | given
    with pytest.raises(InputError, match=message):
        judgement.judge(**asked)


@pytest.mark.parametrize("margin", [0, -0.1, 1, np.nan, "a"])
def test_margin_is_a_share(margin):
    first, second, labels = case31()
    with pytest.raises(InputError, match="margin="):
        judgement.judge({"a": first, "b": second}, labels, margin=margin)


def test_condition_looks_at_the_interval_and_at_every_candidate():
    first, second, labels = case31()
    names = {"a": first, "close": second, "poor": worse(first, labels)}
    found = judgement.judge(names, labels, margin=0.01)
    assert found.failing("non-inferior") == ["poor"]
    assert found.failing("better") == ["close", "poor"]
    wide = judgement.judge(names, labels, margin=0.2)
    # Shown to be worse, and by less than the margin.
    assert wide.rows[1].verdict == "worse"
    assert wide.failing("non-inferior") == []
    swapped = {"poor": names["poor"], "a": first}
    better = judgement.judge(swapped, labels)
    assert better.failing("better") == better.failing("non-inferior") == []
    with pytest.raises(InputError, match="expected one of"):
        found.failing("good")


def test_a_loss_that_the_margin_accepts_is_told_as_one(files):
    given = ["fp32.npy", "poor.npy", "--labels", "labels.npy", "--margin", 20]
    done = run(*given, "--page", "a.html", "--fail-unless", "non-inferior")
    assert done.exit_code == 0
    assert "poor: WORSE, by less than the margin\n" in done.output
    page = Path("a.html").read_text()
    assert page.count(">worse, by less than the margin<") == 1
    assert "poor: worse, by less than the margin</h2>" in page
    assert (
        "less than the margin" not in run(*given[:-2]).output.split("\n\n")[1]
    )
    told = " ".join(run("--help").output.split())
    assert "and one that is worse by less than the margin" in told


def test_exit_status_is_for_a_build(files):
    given = ["fp32.npy", "int8.npy", "--labels", "labels.npy"]
    unless = ["--fail-unless", "non-inferior"]
    assert run(*given).exit_code == 0
    done = run(*given, *unless)
    assert done.exit_code == 1 and "not non-inferior: int8" in done.output
    assert run(*given, *unless, "--margin", 1).exit_code == 0
    done = run("fp32.npy", "poor.npy", "--labels", "labels.npy", *unless)
    assert done.exit_code == 1


def test_same_by_command_and_function_in_all_forms(files):
    first, second, labels = case31()
    found = judgement.judge({"fp32": first, "int8": second}, labels)
    done = subprocess.run(
        [sys.executable, "-m", "ptq", "judge", "fp32.npy", "int8.npy"]
        + ["--labels", "labels.npy", "--json", "a.json", "--page", "a.html"],
        capture_output=True,
        text=True,
        cwd=files,
    )
    assert (done.stdout, done.stderr) == (found.text(), "")
    assert (files / "a.json").read_text() == found.json()
    assert (files / "a.html").read_text() == found.page()
    assert max(map(len, done.stdout.splitlines())) <= 78
    for told in ("3 / 1 images", "0.625", "-0.20 points", "0.40 %"):
        assert told in done.stdout


def test_json_has_no_number_that_json_has_not():
    first = np.arange(5) % 5
    found = judgement.judge({"a": first, "b": first}, first).json()
    assert json.loads(found)["rows"][0]["detectable"] is None
    assert "NaN" not in found and "Infinity" not in found


class Tags(HTMLParser):
    """Opening and closing tags match; what is loaded; all text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.loaded, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag != "meta":
            self.open.append(tag)
        self.loaded += [v for k, v in attrs if k in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_page_is_whole_and_loads_nothing():
    first, second, labels = case31()
    hostile = "<script>alert(1)</script>"
    found = judgement.judge({"a": first, hostile: second}, labels)
    page = Tags(found.page())
    assert page.open == [] and page.loaded == []
    assert "alert(1)" in page.text and "<script" not in found.page()
    assert "3 / 1 images" in page.text and "0.625" in page.text
    alone = Tags(judgement.judge({"a": first, "b": second}).page())
    assert alone.open == [] and "0.40 %" in alone.text


def frame(predictions):
    return pd.DataFrame(logits(predictions).round(3))


CSV = {
    "plain": lambda a, f: np.savetxt(f, a, fmt="%d"),
    "header": lambda a, f: pd.DataFrame({"label": a}).to_csv(f, index=False),
    "index": lambda a, f: pd.DataFrame({"label": a}).to_csv(f),
    "index from 1": lambda a, f: pd.DataFrame(
        {"id": np.arange(1, 1001), "p": a}
    ).to_csv(f, index=False),
    "logits": lambda a, f: np.savetxt(f, logits(a), delimiter=","),
    "logits, header": lambda a, f: frame(a).to_csv(f, index=False),
    "logits, index": lambda a, f: frame(a).to_csv(f),
    "semicolons": lambda a, f: frame(a).to_csv(f, sep=";"),
    "tabs": lambda a, f: frame(a).to_csv(f, sep="\t", header=False),
    "spaces": lambda a, f: np.savetxt(f, logits(a)),
    "lines of old": lambda a, f: f.write_text("\r".join(map(str, a))),
    "mark": lambda a, f: f.write_bytes(
        b"\xef\xbb\xbf" + "\r\n".join(map(str, a)).encode()
    ),
}


@pytest.mark.parametrize("kind", CSV)
def test_csv_of_many_hands_has_the_right_value(files, kind):
    first, second, labels = case31()
    CSV[kind](second, files / "other.csv")
    found = judged("fp32.npy", "other.csv", "--labels", "labels.npy")
    (row,) = found["rows"]
    assert (row["lost"], row["gained"]) == (3, 1)


def test_column_of_a_csv_is_chosen(files):
    _, second, _ = case31()
    files_ = [f"image_{i}.png" for i in range(1000)]
    table = pd.DataFrame({"file": files_, "class": second, "score": 0.5})
    table.to_csv("other.csv", index=False)
    labels = ["--labels", "labels.npy"]
    assert "choose a column" in refused("fp32.npy", "other.csv", *labels)
    assert "'clas'; it has file, class, score" in refused(
        "fp32.npy", "other.csv:clas", *labels
    )
    (row,) = judged("fp32.npy", "other.csv:class", *labels)["rows"]
    assert row["name"] == "class" and row["lost"] == 3


def test_a_chosen_column_stands_in_the_order_of_the_images(files):
    """Row by row, other orders would be judged without a word."""
    _, second, _ = case31()
    table = pd.DataFrame({"id": np.arange(1000), "class": second})
    labels = ["--labels", "labels.npy"]
    table.to_csv("other.csv", index=False)
    (row,) = judged("fp32.npy", "other.csv:class", *labels)["rows"]
    assert row["lost"] == 3
    for moved in (table.sample(frac=1, random_state=0), table[::-1]):
        moved.to_csv("other.csv", index=False)
        told = refused("fp32.npy", "other.csv:class", *labels)
        assert "column id" in told and "sort the rows" in told


def test_images_named_by_text_stand_in_one_order(files):
    """A part of the rows in reverse would be judged as a loss."""
    first, second, labels = case31()
    table = pd.DataFrame({"file": [f"i{i:05}.png" for i in range(1000)]})
    for name, column in (("a", first), ("b", second), ("y", labels)):
        table.assign(pred=column, note="x").to_csv(f"{name}.csv")
    given = ["a.csv:pred", "b.csv:pred", "--labels", "y.csv:pred"]
    assert judged(*given)["rows"][0]["lost"] == 3
    for name, column in (("b", second), ("y", labels)):
        rows = table.assign(pred=column)
        moved = pd.concat([rows[:300], rows[300:500][::-1], rows[500:]])
        other = moved.assign(file=moved.file.replace("i00001.png", "new"))
        for made in (moved, pd.concat([other[:300][::-1], other[300:]])):
            made.to_csv("other.csv", index=False)
            asked = [g.replace(f"{name}.csv", "other.csv") for g in given]
            told = refused(*asked)
            assert "other.csv:pred: column file has i00" in told
            assert "sort the rows of every file" in told


@pytest.mark.parametrize(
    "ids",
    [np.arange(1, 1001), np.maximum(np.arange(1000), 1), np.arange(1000) * 2],
    ids=["from 1", "repeated", "others"],
)
def test_images_of_other_numbers_are_no_pairs(files, ids):
    first, second, _ = case31()
    for name, column, found in (
        ("a", np.arange(1000), first),
        ("b", ids, second),
    ):
        table = pd.DataFrame({"id": column, "pred": found})
        table.to_csv(f"{name}.csv", index=False)
    for given in (("a.csv", "b.csv"), ("b.csv", "a.csv")):
        asked = [f"{name}:pred" for name in given]
        told = refused(*asked, "--labels", "labels.npy")
        assert "column id has" in told and "keep the same images" in told


def test_columns_that_name_no_images_are_left_alone(files):
    """Texts that repeat, or that no other table has, and numbers."""
    first, second, labels = case31()
    words = np.array([f"class {i}" for i in range(10)])
    for name, column in (("a", first), ("b", second), ("y", labels)):
        pd.DataFrame(
            {
                "path": [f"{name}/{i}.png" for i in range(1000)],
                "word": words[column],
                "seconds": np.random.default_rng(column[:9]).random(1000),
                "pred": column,
            }
        ).to_csv(f"{name}.csv", index=False)
    given = ["a.csv:pred", "b.csv:pred", "--labels", "y.csv:pred"]
    assert judged(*given)["rows"][0]["lost"] == 3


def test_a_probability_too_small_for_a_float_is_no_zero():
    labels = np.arange(3000) % 10
    found = judgement.judge({"a": labels, "b": (labels + 1) % 10}, labels)
    assert "below 1e-300" in found.text()


def test_arrays_of_an_npz_are_chosen(files):
    first, second, labels = case31()
    np.savez("all.npz", fp32=logits(first), int8=second, truth=labels)
    np.savez("one.npz", labels)
    assert "several arrays; expected all.npz:NAME" in refused(
        "all.npz", "int8.npy"
    )
    found = judged("all.npz:fp32", "all.npz:int8", "--labels", "one.npz")
    assert found["reference"] == "fp32"
    assert found["rows"][0]["name"] == "int8"
    assert found["rows"][0]["lost"] == 3


def test_what_is_no_file_of_numbers_is_refused(files):
    np.save("objects.npy", np.array([{"a": 1}]), allow_pickle=True)
    np.savez("objects.npz", np.array([{"a": 1}]))
    (files / "half.npy").write_bytes((files / "int8.npy").read_bytes()[:200])
    (files / "none.npy").write_bytes(b"")
    (files / "text.npy").write_text("hello")
    (files / "zip.npz").write_text("hello")
    (files / "bytes.csv").write_bytes(b"\xff\xfe1\n2")
    (files / "head.csv").write_text("label\n")
    (files / "hole.csv").write_text("\n".join(["1", "2,3", "4"]))
    (files / "folder.npy").mkdir()
    for name, told in {
        "absent.npy": "absent.npy: no such file",
        "objects.npy": "Python objects",
        "objects.npz": "Python objects",
        "half.npy": "damaged",
        "none.npy": "an empty file",
        "text.npy": "text.npy: ",
        "zip.npz": "zip.npz: ",
        "bytes.csv": "UTF-8",
        "head.csv": "no rows",
        "hole.csv": "hole.csv: no table",
        "folder.npy": "folder.npy: is a directory",
        "model.pt": "expected a file .npy, .npz, .csv",
    }.items():
        assert told in refused("fp32.npy", name), name
        assert told in refused("fp32.npy", "int8.npy", "--labels", name)


def rows(*columns):
    return "\n".join(
        ",".join(map(str, row)) for row in zip(*columns, strict=True)
    )


BAD_CSV = {
    "blank": (
        lambda a: "\n".join(["", *map(str, a[:6]), "", *map(str, a[7:])]),
        "image 6 .* has nan",
    ),
    "short header": (
        lambda a: "a,b\n" + rows(a, a, a),
        "header names 2 columns, its rows have 3",
    ),
    "predictions and labels": (
        lambda a: "pred,label\n" + rows(a, a),
        "column pred .*no output of a network; choose a column by",
    ),
    "numbers of images": (
        lambda a: rows(3 * np.arange(1000), a),
        "column 1 .*no output of a network",
    ),
    "text": (
        lambda a: "\n".join(f"tensor({v})" for v in a),
        r"has 'tensor\(\d\)' in row 0 \(from 0\): expected "
        "numbers, of a",
    ),
    "underscore": (lambda a: "\n".join(f"{v}_0" for v in a), r"has '\d_0'"),
    "many columns": (
        lambda a: "\n".join(";".join([f"{v},5"] * 20) for v in a),
        "^.{,300}$",
    ),
}


@pytest.mark.parametrize("kind", BAD_CSV)
def test_csv_that_would_be_read_wrong_is_refused(files, kind):
    """Without labels as well, where nothing else would show it."""
    first, second, _ = case31()
    make, told = BAD_CSV[kind]
    for name, array in (("a", first), ("b", second)):
        (files / f"{name}.csv").write_text(make(array))
    assert re.search(told, refused("a.csv", "b.csv").strip())
    assert re.search(told, refused("fp32.npy", "a.csv").strip())


def test_a_name_given_twice_in_a_file_is_refused(files):
    first, second, _ = case31()
    (files / "a.csv").write_text("p,p\n" + rows(first, second))
    assert "2 columns are named 'p'" in refused("fp32.npy", "a.csv:p")
    with zipfile.ZipFile("a.npz", "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for array in (first, second):
            packed = io.BytesIO()
            np.save(packed, array)
            archive.writestr("p.npy", packed.getvalue())
    for given in ("a.npz", "a.npz:p"):
        assert "2 arrays are named 'p'" in refused("fp32.npy", given)


def test_file_of_numpy_with_more_or_less_than_it_says(files):
    whole = (files / "int8.npy").read_bytes()
    (files / "two.npy").write_bytes(whole + whole)
    (files / "huge.npy").write_bytes(
        whole.replace(b"(1000,)", b"(9" + b"0" * 15 + b",)")
    )
    np.savez("all.npz", a=case31()[1])
    damaged = (files / "all.npz").read_bytes()
    assert b"(1000,)" in damaged
    (files / "less.npz").write_bytes(damaged.replace(b"(1000,)", b"(0900,)"))
    with zipfile.ZipFile("text.npz", "w") as archive:
        archive.writestr("a.txt", "hello")
    os.symlink("loop.npy", "loop.npy")
    for name, told in {
        "two.npy": "there is more after its first array",
        "huge.npy": "huge.npy: damaged",
        "less.npz": "less.npz: damaged",
        "text.npz": "a.txt is no array",
        "loop.npy": "loop.npy: ",
        "int8.npy:a": "expected int8.npy, which holds one array",
        "a" * 300 + ".npy": "file name too long",
    }.items():
        assert told in refused("fp32.npy", name), name


def test_any_damage_of_an_archive_ends_in_a_sentence_or_the_right_value():
    good = logits(case31()[1])[:50]
    rng = np.random.default_rng(3)
    for save in (np.savez, np.savez_compressed):
        packed = io.BytesIO()
        save(packed, a=good)
        content = packed.getvalue()
        ends = [*range(150), *range(len(content) - 150, len(content))]
        for i in ends:
            bad = bytearray(content)
            bad[i] ^= 1 << rng.integers(8)
            try:
                found = reading._from_numpy(bytes(bad), Path("a"), "")
            except InputError:
                continue
            assert np.array_equal(found, good), i


def test_reports_replace_no_device_and_keep_links(files):
    given = ["fp32.npy", "int8.npy", "--page"]
    os.mkfifo("pipe")
    assert "a device or a pipe" in refused(*given, "pipe")
    assert (files / "pipe").is_fifo()
    (files / "old.html").write_text("old")
    os.symlink("old.html", "latest.html")
    assert run(*given, "latest.html").exit_code == 0
    assert (files / "latest.html").is_symlink()
    assert (files / "old.html").read_text().startswith("<!DOCTYPE html>")


def test_examples_of_the_help_work(files):
    first, second, labels = case31()
    np.savez("out.npz", fp32=logits(first), int8=logits(second))
    pd.DataFrame({"file": labels.astype(str), "class": labels}).to_csv(
        "val.csv", index=False
    )
    told = run("--help").output.replace("\\\n", " ")
    lines = [line for line in told.splitlines() if " -m ptq judge " in line]
    assert len(lines) == 2
    for line in lines:
        _, _, arguments = line.partition(" judge ")
        done = run(*shlex.split(arguments))
        assert done.exit_code == 0, done.output
        assert "lost / gained         3 / 1 images" in done.output


def test_rows_out_of_order_are_seen_where_they_are_numbered(files):
    _, second, _ = case31()
    table = pd.DataFrame({"label": second})
    table.sample(frac=1, random_state=1).to_csv("other.csv")
    assert "another order" in refused("fp32.npy", "other.csv")


def test_a_report_overwrites_no_input_and_no_report(files):
    np.savez("two.npz", a=case31()[0], b=case31()[1])
    (files / "link.html").symlink_to(files / "labels.npy")
    (files / "names.txt").write_text("\n".join("abcdefghij"))
    before = {path: path.read_bytes() for path in files.iterdir()}
    given = ["fp32.npy", "two.npz:b", "--labels", "labels.npy"]
    given += ["--class-names", "names.txt"]
    for option, name in (
        ("--json", "two.npz"),
        ("--json", "./fp32.npy"),
        ("--page", "link.html"),
        ("--page", "names.txt"),
    ):
        assert "would overwrite" in refused(*given, option, name)
    assert "--page ./o" in refused(*given, "--json", "o", "--page", "./o")
    assert {path: path.read_bytes() for path in files.iterdir()} == before
    assert run(*given, "--json", "o", "--page", "p").exit_code == 0


def test_text_that_is_not_utf_8_is_told(files):
    (files / "a.csv").write_text("größe\n1\n", encoding="latin-1")
    told = refused("fp32.npy", "a.csv")
    assert "a.csv: no text in UTF-8 (byte 2): save it as UTF-8" in told


def test_a_table_of_few_columns_is_named_as_the_odd_one(files):
    first = case31()[0]
    pd.DataFrame({"top1": first, "top2": first[::-1]}).to_csv(
        "conf2.csv", index=False
    )
    told = refused("fp32.npy", "conf2.csv")
    assert told.startswith("Error: conf2 has 2 outputs an image, yet fp32")


def test_a_file_given_twice_is_refused(files):
    assert "given twice" in refused("fp32.npy", "./fp32.npy")
    assert "given twice" in refused("fp32.npy", "int8.npy", "int8.npy")
    for name in ("fp32.npy", "./int8.npy"):
        told = refused("fp32.npy", "int8.npy", "--labels", name)
        assert "given twice; expected other files, also for labels" in told


def test_names_are_short_and_unique():
    assert reading.names(["a.npy", "b/a.npz:x"]) == ["a", "x"]
    assert reading.names(["a.npy", "b/a.npy"]) == ["a.npy", "b/a.npy"]


def test_usage_is_refused_by_two(files):
    assert "--margin=0.0" in refused("fp32.npy", "int8.npy", "--margin", 0)
    assert "--margin=nan" in refused("fp32.npy", "int8.npy", "--margin=nan")
    given = ["fp32.npy", "int8.npy", "--class-names"]
    assert "expected a text file" in refused(*given, "cats.txt")
    assert "9 names for 10 classes" in refused(
        *given, "a,b,c,d,e,f,g,h,i", "--classes=10"
    )
    assert "has no name" in refused(*given, "a,,c")
    assert run("fp32.npy").exit_code == 2
    assert run("fp32.npy", "int8.npy", "--fail-unless", "good").exit_code == 2
    (files / "there").mkdir()
    assert "there" in refused("fp32.npy", "int8.npy", "--page", "there")


def test_class_names_stand_in_the_report(files):
    names = [f"kind {i}" for i in range(10)]
    (files / "names.txt").write_text("\n".join(names) + "\n")
    given = ["fp32.npy", "poor.npy", "--labels", "labels.npy"]
    done = run(*given, "--class-names", "names.txt")
    assert done.output.count("kind ") == 5


def test_largest_output_decides():
    found = network_outputs.outputs(np.array([[0, 2, 1], [3, 3, 0]]), "a")
    assert found.predictions.tolist() == [1, 0]
    assert (found.classes, found.ties) == (3, 1)


def test_command_does_not_wait_for_torch(files):
    code = (
        "import sys; from ptq.judge import judgement; from ptq.judge import "
        "reading; assert not {'torch', 'IPython'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
