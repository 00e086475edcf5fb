"""Training by seed, interrupted training, and checkpoints."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner
from torch import nn

from ptq import checkpoint_bytes, data, paths
from ptq.cli import commands
from ptq.data import cifar10
from ptq.networks import checkpoints, recipes, training
from ptq.registry import UnknownNameError

SMALL = recipes.Recipe(epochs=2, train_images=256)


@pytest.fixture(scope="module")
def generated():
    """A data set of 640 generated images, again and again."""
    generator = torch.Generator().manual_seed(5)
    pixels = torch.randint(
        0, 256, (640, 3, 32, 32), dtype=torch.uint8, generator=generator
    )
    labels = torch.randint(0, 10, (640,), generator=generator)
    repeated = pixels.repeat(79, 1, 1, 1)[:50_000]
    return cifar10.Cifar10(
        repeated, labels.repeat(79)[:50_000], pixels, labels
    )


@pytest.fixture(scope="module")
def trained(generated, tmp_path_factory):
    progress = tmp_path_factory.mktemp("trained") / "progress.pt"
    return training.train(SMALL, generated, progress)


SQUARES = """
import torch
from torch import nn

from ptq.data import image_sets
from ptq.data.cifar10 import Cifar10

CLASSES, SHAPE = ["dark", "light"], (1, 4, 4)


def load(folder=""):
    labels = torch.arange(image_sets.VALIDATION_IMAGES + 128) % 2
    pixels = (labels * 200).to(torch.uint8)[:, None, None, None]
    pixels = pixels.repeat(1, *SHAPE)
    return Cifar10(pixels, labels, pixels[:40], labels[:40])


class Flat(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(16, 2)

    def forward(self, x):
        return self.fc(x.flatten(1))
"""


def test_a_network_is_trained_on_the_data_set_of_its_row(
    tmp_path, monkeypatch
):
    (tmp_path / "squares.py").write_text(SQUARES)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(data.DATA_SETS, "squares", "squares")
    recipe = recipes.Recipe(epochs=1, train_images=128, learning_rate=0.1)
    row = recipes.Network("flat", "squares:Flat", recipe, "squares")
    monkeypatch.setitem(recipes.NETWORKS, "flat", row)
    given = "train", "--network", "flat", "--run-dir", str(tmp_path / "run")
    done = CliRunner().invoke(commands.main, given)
    assert "40 of 40 test images right" in done.output, done.output


def same_weights(one, other):
    pairs = zip(
        one.state_dict().values(), other.state_dict().values(), strict=True
    )
    return all(torch.equal(*pair) for pair in pairs)


@pytest.fixture(scope="module")
def stopped(generated, tmp_path_factory):
    """The progress file of a training stopped in its second epoch."""
    progress = tmp_path_factory.mktemp("stopped") / "progress.pt"
    real, calls = training.evaluate, []

    def evaluate(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "evaluate", evaluate)
        with pytest.raises(KeyboardInterrupt):
            training.train(SMALL, generated, progress)
    return progress


@pytest.fixture
def interrupted(stopped, tmp_path):
    return shutil.copy(stopped, tmp_path / stopped.name)


def test_interrupted_training_goes_on_to_the_same_network(
    interrupted, trained, generated, capsys
):
    network, card = training.train(SMALL, generated, interrupted)
    shown = capsys.readouterr().err
    assert "epoch 2/2" in shown
    assert "epoch 1/2" not in shown
    assert same_weights(network, trained[0])
    assert card["history"] == trained[1]["history"]


ONE_EPOCH = recipes.Recipe(epochs=1, train_images=256)


@pytest.fixture(scope="module")
def once(generated, tmp_path_factory):
    """A folder with a trained network, and torch's generator around it."""
    folder = tmp_path_factory.mktemp("once")
    # Not the state that the training itself would leave behind.
    torch.manual_seed(123)
    before = torch.get_rng_state()
    network, card = training.trained(ONE_EPOCH, generated, folder)
    return folder, network, card, (before, torch.get_rng_state())


def test_the_same_seed_gives_the_same_weights(once, interrupted):
    _, network, card, generator_states = once
    # The first epoch is the same, whatever the number of epochs.
    stored = torch.load(interrupted, weights_only=True)
    for name, value in network.state_dict().items():
        assert torch.equal(value, stored["network"][name]), name
    assert card["history"] == stored["history"]
    assert torch.equal(*generator_states)


def test_a_network_is_trained_once_and_then_read(once):
    folder, network, card, _ = once
    files = {f"{ONE_EPOCH.name}.pt", f"{ONE_EPOCH.name}.json"}
    assert {path.name for path in folder.iterdir()} == files
    assert card["test_images"] == 640
    # Without a data set nothing can be trained: this must be read.
    again, same_card = training.trained(ONE_EPOCH, None, folder)
    assert same_weights(again, network)
    assert same_card == card


def test_another_seed_starts_anew_and_gives_another_network(
    interrupted, generated
):
    stored = torch.load(interrupted, weights_only=True)
    recipe = recipes.Recipe(seed=43, epochs=1, train_images=256)
    network, card = training.train(recipe, generated, interrupted)
    assert card["history"] != stored["history"]
    assert not torch.equal(
        network.fc1.weight, stored["network"]["fc1.weight"]
    )


def test_training_lowers_the_loss(trained):
    first, last = (row["train_loss"] for row in trained[1]["history"])
    assert last < first - 0.1


def test_names_tell_recipes_apart():
    different = [
        recipes.Recipe(),
        recipes.Recipe(seed=7),
        recipes.Recipe(epochs=3),
        recipes.Recipe(train_images=256),
        recipes.Recipe(batch=32),
        recipes.Recipe(learning_rate=0.01),
        recipes.Recipe(weight_decay=1e-4),
        *(recipes.of(n) for n in recipes.NETWORKS if n != "compact_cnn"),
    ]
    assert len({recipe.name for recipe in different}) == len(different)


@pytest.mark.parametrize("name", recipes.NETWORKS)
def test_each_network_is_trained_by_its_recipe(name, generated, tmp_path):
    recipe = recipes.of(name, seed=3, epochs=1)
    recipe = replace(recipe, train_images=512, batch=32)
    network, card = training.train(recipe, generated, tmp_path / "p.pt")
    assert card["network"] == name
    assert card["recipe"]["learning_rate"] == recipe.learning_rate
    fresh = recipes.untrained(name, 3).eval()
    assert {k: v.shape for k, v in network.state_dict().items()} == {
        k: v.shape for k, v in fresh.state_dict().items()
    }
    assert not same_weights(network, fresh)


def test_an_unknown_network_is_refused_with_those_known():
    with pytest.raises(UnknownNameError, match="resnet9.*resnet8"):
        recipes.of("resnet9")


def test_crops_are_shifts_with_reflected_edges():
    generator = torch.Generator().manual_seed(1)
    images = torch.arange(64 * 36.0).reshape(64, 1, 6, 6)
    moved = training.crop_and_flip(images, generator)
    padded = nn.functional.pad(images, (4, 4, 4, 4), mode="reflect")
    seen = set()
    for image, wide in zip(moved, padded, strict=True):
        crops = {
            (top, left, flip): wide[:, top : top + 6, left : left + 6].flip(
                [2] if flip else []
            )
            for top in range(9)
            for left in range(9)
            for flip in (False, True)
        }
        found = [k for k, crop in crops.items() if torch.equal(crop, image)]
        assert found
        seen.add(found[0])
    assert len(seen) > 40


def test_the_cycle_rises_to_the_rate_and_ends_near_zero():
    recipe = recipes.of("resnet8")
    rates = [training.learning_rate(recipe, s, 1000) for s in range(1000)]
    assert max(rates) == rates[199] == recipe.learning_rate
    assert rates == sorted(rates[:200]) + sorted(rates[200:], reverse=True)
    assert rates[-1] < recipe.learning_rate / 500
    assert {
        training.learning_rate(recipes.Recipe(), s, 9) for s in range(9)
    } == {1e-3}


def test_decay_spares_biases_and_normalization():
    network = recipes.untrained("resnet8", 0)
    decayed, spared = training._optimizer(
        network, recipes.of("resnet8")
    ).param_groups
    assert decayed["weight_decay"] == 5e-4
    assert spared["weight_decay"] == 0
    assert {p.dim() for p in decayed["params"]} == {2, 4}
    assert {p.dim() for p in spared["params"]} == {1}


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "cnn.pt"
    network = recipes.untrained("compact_cnn", 3)
    checkpoints.save_checkpoint(network, path, {"recipe": {"seed": 3}})
    return network, path


def test_checkpoint_round_trip(saved):
    network, path = saved
    other = recipes.untrained("compact_cnn", 4)
    card = checkpoints.load_checkpoint(path, other)
    assert same_weights(network, other)
    assert card["recipe"] == {"seed": 3}


def test_a_loaded_card_can_be_saved_with_changed_weights(saved, tmp_path):
    network, path = saved
    card = checkpoints.load_checkpoint(path, network)
    changed = recipes.untrained("compact_cnn", 5)
    checkpoints.save_checkpoint(changed, tmp_path / "changed.pt", card)
    checkpoints.load_checkpoint(tmp_path / "changed.pt", network)
    assert same_weights(network, changed)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES = {
    "bit": flip,
    "half": lambda p: p.write_bytes(p.read_bytes()[:1000]),
    "no weights": lambda path: path.unlink(),
    "no card": lambda path: checkpoints.card_path(path).unlink(),
    "broken card": lambda path: checkpoints.card_path(path).write_text("{"),
    "odd card": lambda path: checkpoints.card_path(path).write_text("[]"),
    "empty card": lambda path: checkpoints.card_path(path).write_text("{}"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_damaged_checkpoint_is_refused_by_name(damage, saved):
    network, path = saved
    damage(path)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    with pytest.raises(checkpoint_bytes.CheckpointError, match="cnn.pt"):
        checkpoints.load_checkpoint(path, network)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize(
    ("layer", "other"),
    [
        ("fc1", nn.Linear(4096, 64)),
        ("conv2", nn.Conv2d(32, 64, 5)),
        ("conv1", nn.Conv2d(3, 32, 3, bias=True)),
        ("bn2", nn.Identity()),
    ],
)
def test_checkpoint_of_another_network_names_the_layer(
    layer, other, tmp_path
):
    network = recipes.untrained("compact_cnn", 0)
    setattr(network, layer, other)
    checkpoints.save_checkpoint(network, tmp_path / "other.pt", {})
    with pytest.raises(
        checkpoint_bytes.CheckpointError, match=f"other.pt.*{layer}"
    ):
        checkpoints.load_checkpoint(
            tmp_path / "other.pt", recipes.untrained("compact_cnn", 0)
        )


def test_run_folder_goes_before_the_shipped_network(network, tmp_path):
    recipe = recipes.Recipe()
    shipped, _ = training.trained(recipe, None, tmp_path)
    assert same_weights(shipped, network)
    own = recipes.untrained("compact_cnn", 9)
    checkpoints.save_checkpoint(own, tmp_path / f"{recipe.name}.pt", {})
    found, _ = training.trained(recipe, None, tmp_path)
    assert same_weights(found, own)


SHIPPED = sorted(paths.checkpoint_folder().glob("*.pt"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_networks_predict_as_their_cards_say(path, cifar):
    card = json.loads(checkpoints.card_path(path).read_text())
    recipe = recipes.Recipe(**card["recipe"])
    assert recipe.name == path.stem
    network, _ = training.trained(recipe, None, path.parent)
    found = training.evaluate(
        network,
        cifar.test_images[:500],
        cifar.test_labels[:500],
        recipes.get(recipe.network).normalization,
    )
    share = card["test_correct"] / card["test_images"]
    assert found["validation_accuracy"] == pytest.approx(share, abs=0.06)
