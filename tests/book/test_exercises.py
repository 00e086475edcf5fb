"""The planted faults are there and found; the grader judges answers."""

import re

import nbformat
import pytest

from ptq.book import exercises
from ptq.data import image_sets
from ptq.engines import eager_layers, eager_settings, torch_eager
from ptq.experiment import strategies
from ptq.measure import diagnostics, inference, layer_errors
from ptq.methods import eager_folding
from ptq.running import pipeline

RIGHT = {
    "a": [
        "BN not folded into the weights of conv2",
        "conv2 is unfolded",
        "The second convolution's weights were never multiplied by the gain",
        "batch-norm 2 isn't folded",
        "bn2 was forgotten",
        "Batch normalisation of conv2 was folded into the bias only",
    ],
    "b": [
        "wrong normalization",
        "Calibrated with ImageNet's normalisation.",
        "calibration images normalized with another mean and std",
        "The preprocessing of the calibration images is different",
    ],
    "c": [
        "the correction changed nothing",
        "no-op correction",
        "It's a no op",
        "the bias correction was never applied",
        "The corrected copy was thrown away",
        "the biases are the same as in the folded network",
        "biases weren't corrected",
    ],
}
# Each answer, and words of the hint that it deserves.
WRONG = {
    "batch norm was folded twice": "prepared network",
    "too few calibration images": "same draw",
    "the activations clip": "use of the grids",
    "an outlier in the calibration data": "same draw",
    "the weights have only four bits": "Count them",
    "the shifts have the wrong sign": "biases",
    "nothing is wrong": "Something is",
}


@pytest.fixture(scope="module")
def calibration(cifar):
    """A hundred training images, as the chapter draws them."""
    drawn = image_sets.draw(image_sets.split(42)[0], 100, 42)
    return image_sets.normalize(cifar.train_images[drawn], 0.5, 0.5)


@pytest.fixture(scope="module")
def hundred(cifar):
    return image_sets.normalize(
        cifar.train_images[image_sets.split(42)[1][:500]], 0.5, 0.5
    )


@pytest.fixture(scope="module")
def suspects(network, calibration):
    """The three faulty networks, and the sound one of the same draw."""
    eager_settings.select()
    prepared = torch_eager.prepare(
        eager_folding.fold(network),
        eager_folding.fusable(network),
    )
    quantized = strategies.folded(network, calibration)
    made = {n: exercises.faulty(n, network, calibration) for n in "abc"}
    return made | {"sound": exercises.Suspect("", prepared, quantized)}


@pytest.fixture(scope="module")
def surgery(network, suspects, hundred):
    """SQNR of each prepared network's layers, which are not rounded yet."""
    return {
        name: layer_errors.layer_errors(
            network,
            suspect.prepared,
            hundred,
            layer_errors.LIKE_FOR_LIKE_POINTS,
        )
        for name, suspect in suspects.items()
    }


@pytest.fixture(scope="module")
def uses(suspects, hundred):
    return {
        n: diagnostics.grid_use(
            s.prepared, eager_layers.activation_scales(s.quantized), hundred
        )
        for n, s in suspects.items()
    }


def differs(suspects, name):
    return eager_layers.changes(
        suspects["sound"].quantized, suspects[name].quantized
    )


def test_surgery_is_at_fault_in_a_alone(surgery):
    below = {
        name: [layer for layer, e in errors.items() if e.sqnr < 60]
        for name, errors in surgery.items()
    }
    assert below == {"a": ["conv2", "fc1", "fc2"]} | dict.fromkeys(
        ("b", "c", "sound"), []
    )


def test_weights_of_conv2_in_a_lack_the_gain(network, suspects):
    layers = {
        n: eager_layers.quantized_layers(suspects[n].quantized)
        for n in suspects
    }
    trained = network.conv2.weight.detach()
    a, sound = (
        layers[n]["conv2"].weight().dequantize() for n in ("a", "sound")
    )
    step = layers["a"]["conv2"].weight().q_scale()
    assert (a - trained).abs().max() <= 0.51 * step
    assert (sound - trained).abs().max() > 10 * step
    assert differs(suspects, "a")["conv2"].bias == 0


def test_input_grid_is_too_wide_in_b_alone(uses):
    share = {name: use["quant"].share for name, use in uses.items()}
    assert share["b"] < 0.5
    assert all(0.95 < share[name] < 1.05 for name in ("a", "c", "sound"))


def test_every_grid_of_b_is_too_wide(uses):
    assert uses["b"].keys() == uses["sound"].keys() != set()
    for module, use in uses["b"].items():
        assert use.share < 0.7 * uses["sound"][module].share


def test_c_is_the_sound_network_and_the_others_are_not(suspects):
    assert not any(differs(suspects, "c").values())
    assert any(differs(suspects, "a").values())
    assert any(differs(suspects, "b").values())


def test_c_claims_a_shift_that_a_correction_does_make(
    network, suspects, calibration
):
    corrected = strategies.bias_corrected(network, calibration)
    found = eager_layers.changes(suspects["sound"].quantized, corrected)
    assert all(change.bias > 0 for change in found.values())
    largest = max(change.bias for change in found.values())
    claim = re.search(r"largest shift ([\d.]+)", suspects["c"].claim)
    assert float(claim[1]) == pytest.approx(largest, rel=0.05)


def test_symptoms_have_the_size_of_real_ones(cifar, suspects):
    pixels, labels = cifar.test_images[:2000], cifar.test_labels[:2000]
    right = {
        name: (
            inference.logits(s.quantized, pixels, (0.5, 0.5)).argmax(1)
            == labels
        ).sum()
        for name, s in suspects.items()
    }
    lost = {n: int(right["sound"] - right[n]) / 20 for n in "abc"}
    assert 3 < lost["a"] < 15
    assert 0.3 < lost["b"] < 4
    assert lost["c"] == 0


@pytest.mark.parametrize(
    ("name", "answer"),
    [(n, answer) for n, answers in RIGHT.items() for answer in answers],
)
def test_right_answers_in_many_words(name, answer):
    feedback = exercises.grade(name, answer)
    assert feedback, feedback.text
    assert feedback.text.startswith("Right: ")


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        (name, answer)
        for name in RIGHT
        for other, answers in RIGHT.items()
        if other != name
        for answer in answers
    ],
)
def test_right_answers_to_another_network_are_wrong(name, answer):
    assert not exercises.grade(name, answer)


@pytest.mark.parametrize("answer", WRONG)
@pytest.mark.parametrize("name", exercises.PLANTED)
def test_wrong_answers_are_told_what_speaks_against_them(name, answer):
    feedback = exercises.grade(name, answer)
    assert not feedback
    assert feedback.text.startswith(("Not this: ", "This names more"))
    assert WRONG[answer] in feedback.text
    assert exercises.PLANTED[name].why not in feedback.text


def test_kind_without_layer_is_half_an_answer():
    asked = exercises.grade("a", "batch norm not folded")
    assert not asked and "In which layer" in asked.text
    wrong = exercises.grade("a", "BN not folded into conv1")
    assert not wrong and "not in conv1" in wrong.text
    for feedback in (asked, wrong):
        assert "into the weights of conv2" not in feedback.text


def test_every_kind_is_known_by_its_own_title():
    for key, kind in exercises.KINDS.items():
        said = exercises._plain(kind.title)
        fits = [
            k for k, v in exercises.KINDS.items() if re.match(v.words, said)
        ]
        assert fits == [key]


def test_what_is_not_understood_lists_what_is():
    feedback = exercises.grade("b", "it is the gremlins")
    assert not feedback and "It knows: " in feedback.text
    for kind in exercises.KINDS.values():
        assert kind.title in feedback.text


def test_two_faults_at_once_are_refused():
    feedback = exercises.grade("b", "wrong normalization or too few images")
    assert not feedback and "more than one" in feedback.text


def test_blank_is_no_answer():
    assert str(exercises.grade("c", "  ")) == "No answer yet."


def test_bad_input_is_named(network, images):
    with pytest.raises(ValueError, match="'d': no such network; .* a, b, c"):
        exercises.grade("d", "wrong normalization")
    with pytest.raises(ValueError, match="expected a, b, c"):
        exercises.faulty("sound", network, images)
    with pytest.raises(TypeError, match="3: expected an answer in words"):
        exercises.grade("a", 3)


def test_changes_refuses_networks_with_other_layers(
    network, images, quantized
):
    mixed = strategies.quantized(network, images, ("conv2",))
    with pytest.raises(ValueError, match="expected the same ones"):
        eager_layers.changes(quantized, mixed)


def test_changes_sees_one_weight_and_one_bias(network, images, quantized):
    other = strategies.folded(network, images)
    layer = eager_layers.quantized_layers(other)["fc2"]
    weight, bias = layer.weight(), layer.bias().detach().clone()
    codes = weight.int_repr()
    codes[0, 0] += 1 if codes[0, 0] < 127 else -1
    moved = torch_eager.torch._make_per_tensor_quantized_tensor(
        codes, weight.q_scale(), weight.q_zero_point()
    )
    bias[3] += 0.25
    layer.set_weight_bias(moved, bias)
    found = eager_layers.changes(quantized, other)
    assert found.pop("fc2") == eager_layers.Change(1, 0.25, False)
    assert not any(found.values())


@pytest.mark.parametrize(
    "source", pipeline.chapters(), ids=lambda path: path.stem
)
def test_solutions_run_check_and_hide(source):
    cells = nbformat.read(source, as_version=4).cells
    solutions = [c for c in cells if "solution" in c.metadata.get("tags", [])]
    assert any("assert" in cell.source for cell in solutions)
    at = next(i for i, c in enumerate(cells) if c.id == "exercises")
    exercises, _, answers = cells[at].source.partition("{admonition} Answers")
    for number in re.findall(r"^(\d)\. \*\*Write", exercises, re.M):
        answer = re.search(
            rf"^{number}\. .*?(?=^\d\. |^:::)", answers, re.M | re.S
        )
        assert re.search(r"hidden\s+cell\s+below", answer[0]), number
        assert any(cell in solutions for cell in cells[at:])
    for cell in solutions:
        assert cell.cell_type == "code"
        assert "hide-cell" in cell.metadata.tags
        assert cell.metadata.mystnb.code_prompt_show.startswith("Show ")
        assert cell.metadata.jupyter.source_hidden
