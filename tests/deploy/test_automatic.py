"""The automatic mode: its order, its evidence, and what it returns."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ptq.deploy import automatic, deploying, trials
from ptq.deploy.choice import Choice
from ptq.deploy.file_sizes import Files
from ptq.evidence.checks import InputError
from ptq.measure import resources
from ptq.methods import bit_allocation
from ptq.quantizer.quantizing import quantize

DECIDE = 420


def choose(net, out, labels=True, **given):
    return automatic.choose(
        net.network,
        net.calibration,
        net.test[:DECIDE],
        net.labels[:DECIDE] if labels else None,
        out=out,
        **{"normalization": (0.5, 0.5), "margin": 0.02} | given,
    )


@pytest.fixture(scope="module")
def small(net, tmp_path_factory):
    """Smaller files are asked than there are."""
    folder = tmp_path_factory.mktemp("small")
    return folder, choose(net, folder, target_bytes=100)


def test_eight_bits_are_first_and_enough_where_nothing_else_is_asked(
    net, tmp_path
):
    found = choose(net, tmp_path)
    assert [one.recipe for one in found.trials] == [{}]
    assert found.best.holds and not found.missed
    assert found.why == "it does all that was asked, as the first of 1 trial"


def test_evidence_of_a_trial_is_that_of_its_network(net, small):
    _, found = small
    images = torch.from_numpy(net.test[:DECIDE, None])
    labels = net.labels[:DECIDE]
    made = quantize(
        net.network,
        torch.from_numpy(net.calibration[:, None]),
        normalization=(0.5, 0.5),
    )
    with torch.no_grad():
        exact = net.network(made.normalized(images)).argmax(1).numpy()
        ours = made(images).argmax(1).numpy()
    first = found.trials[0]
    assert first.lost == ((exact == labels) & (ours != labels)).sum()
    assert first.gained == ((exact != labels) & (ours == labels)).sum()
    change = (ours == labels).mean() - (exact == labels).mean()
    assert first.change.value == pytest.approx(change)
    assert first.change.low < change < first.change.high
    assert first.disagreement.value == (exact != ours).mean()
    assert first.holds == (first.change.low > -0.02)


def test_a_missed_target_returns_the_smallest_that_holds(small):
    folder, found = small
    held = [one for one in found.trials if one.holds]
    assert found.best.bytes == min(one.bytes for one in held) > 100
    assert f"missed by {found.best.bytes - 100:,} bytes" in found.missed
    least = min(one.bytes for one in found.trials)
    assert f"the smallest of all has {least:,} bytes" in found.why
    told = json.loads((folder / "trials.json").read_text())
    assert told["trials"][told["chosen"] - 1]["name"] == found.best.name
    assert [one["bytes"] for one in told["trials"]] == [
        one.bytes for one in found.trials
    ]


def test_methods_come_from_cheap_to_dear_and_sizes_by_halves(small):
    """Two bits everywhere fail; between them and eight it is bisected."""
    _, found = small
    methods = [one.recipe.get("rounding") for one in found.trials]
    assert methods[:4] == [None, "nearest", "gptq", "descent"]
    for one in found.trials[1:4]:
        assert set(one.recipe["weight_bits"].values()) == {2}
        assert not one.holds
    assert set(methods[4:]) == {"descent"} and len(methods) <= 4 + 5
    low, high = found.trials[3].bytes, found.trials[0].bytes
    for one in found.trials[4:]:
        middle = (low + high) // 2
        assert low < one.bytes <= middle
        low, high = (low, middle) if one.holds else (middle, high)


@pytest.mark.parametrize("most", [1700, 1900, 2400, 3000])
def test_a_file_of_a_size_has_the_bits_of_least_error(net, most):
    """Of all choices of bits whose file, once written, is small enough."""
    given = automatic.inputs.checked(
        *(net.network, net.calibration, net.test, net.labels),
        *((0.5, 0.5), None),
    )
    narrow = {
        bits: given.quantized("nearest", weight_bits=bits)
        for bits in bit_allocation.BITS
    }
    files = Files(narrow, resources.packed_bytes(narrow[8]))
    found = files.within(most)
    assert files.size(found) <= most
    costs = bit_allocation.noise(narrow)
    best = min(
        bit_allocation.total(costs, bits)
        for bits in bit_allocation.every(list(costs))
        if bit_allocation.total(files.sizes, bits) + files.rest <= most - 64
    )
    assert bit_allocation.total(costs, found) <= best


def test_the_deployed_network_is_the_one_that_was_tried(net, tmp_path):
    found = choose(net, tmp_path, target_bytes=2500)
    assert not found.missed and found.best is found.trials[-1]
    assert found.best.bytes <= 2500 < found.trials[0].bytes
    card = deploying.deploy(
        net.network,
        net.calibration,
        net.test[DECIDE:],
        net.labels[DECIDE:],
        out=tmp_path,
        normalization=(0.5, 0.5),
        rounds=1,
        choice=found,
        **found.best.recipe,
    )
    assert card.files["network.ptq"] == found.best.bytes
    wanted = found.best.recipe["weight_bits"]
    assert {row.layer: row.bits for row in card.rows} == wanted
    text = " ".join(str(card).split())
    assert found.why in text and "2,500 bytes" in text
    assert text.count("of a processor") == len(found.trials)


def test_a_kept_trial_is_not_made_again(net, small, tmp_path):
    class Stopped(Exception):
        pass

    def stop(text):
        if text.startswith("trial 4"):
            raise Stopped

    with pytest.raises(Stopped):
        choose(net, tmp_path, target_bytes=100, tell=stop)
    kept = {p: p.stat().st_ino for p in (tmp_path / "trials").iterdir()}
    assert len(kept) == 3 and not (tmp_path / "trials.json").exists()
    cut, changed, _ = kept
    cut.write_bytes(b"[")
    # Another number of the same length: valid, and wrong.
    told = changed.read_text()
    digit = told.index('"bytes": ') + len('"bytes": ')
    other = str(int(told[digit]) % 9 + 1)
    changed.write_text(told[:digit] + other + told[digit + 1 :])
    again = choose(net, tmp_path, target_bytes=100)
    for path, inode in kept.items():
        assert (path.stat().st_ino == inode) == (path not in (cut, changed))
    _, whole = small
    assert [one.name for one in again.trials] == [
        one.name for one in whole.trials
    ]
    assert again.best.change == whole.best.change
    # Another margin asks the kept trials anew.
    files = set((tmp_path / "trials").iterdir())
    choose(net, tmp_path, margin=0.5, target_bytes=100)
    assert set((tmp_path / "trials").iterdir()) == files


def test_other_images_are_other_trials(net, tmp_path):
    choose(net, tmp_path)
    other = SimpleNamespace(**vars(net) | {"test": net.test // 2})
    choose(other, tmp_path, margin=0.9)
    assert len(list((tmp_path / "trials").iterdir())) == 2


def test_without_labels_changed_predictions_decide(net, tmp_path):
    found = choose(net, tmp_path, labels=False, target_bytes=2500)
    assert "no labels; changed predictions decide" in found.images
    for one in found.trials:
        assert one.change is None and one.lost is None
        assert one.holds == (one.disagreement.high < 0.02)
        assert one.verdict in ("non-inferior", "unknown without labels")
    assert found.best.floor == -found.best.disagreement.high


def test_where_nothing_is_shown_the_least_loss_is_returned(net, tmp_path):
    """At eight bits: other ranges, means, and one and two layers in float.

    Ranges of much too dark images clip whatever is tried.
    """
    dark = SimpleNamespace(**vars(net) | {"calibration": net.test[:64] // 16})
    found = choose(dark, tmp_path)
    recipes = [one.recipe for one in found.trials]
    assert recipes[:2] == [{}, {"observer": "mse"}]
    assert recipes[2]["rounding"] == "means"
    kept = [len(one["keep_float"]) for one in recipes[3:]]
    assert kept == [1, 2]
    assert not any(one.holds for one in found.trials)
    assert found.best.floor == max(one.floor for one in found.trials)
    assert found.missed == "a loss of 2.00 points is not excluded"
    assert "more images might decide" in found.why


def test_what_cannot_be_made_is_told_and_left_out(net, tmp_path):
    given = automatic.inputs.checked(
        *(net.network, net.calibration, net.test, net.labels),
        *((0.5, 0.5), None),
    )
    choice = Choice([], "images", 0.02)
    flow = automatic._Flow(given, choice, [], tmp_path, lambda text: None)
    assert flow.holds({})
    assert not flow.holds({"weight_bits": {"head": 4}})
    (why,) = choice.refused.values()
    assert "'head': the network has none" in why and len(choice.trials) == 1


@pytest.mark.parametrize("labelled", [True, False])
def test_too_few_images_are_told_with_how_many_will_do(labelled):
    with pytest.raises(InputError, match="100 images are too few") as told:
        trials.check_number(100, labelled, 0.01)
    words = str(told.value).split()
    least = int(words[words.index("least") + 1].strip(","))
    assert 200 < least < 500
    trials.check_number(least, labelled, 0.01)
    with pytest.raises(InputError):
        trials.check_number(least - 1, labelled, 0.01)


def test_wrong_labels_are_told(net, tmp_path):
    other = SimpleNamespace(**vars(net) | {"labels": np.roll(net.labels, 1)})
    with pytest.raises(InputError, match="not shown to be more than chance"):
        choose(other, tmp_path)
