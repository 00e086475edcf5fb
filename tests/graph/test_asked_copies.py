"""A network that keeps what its forward computes is asked as a copy."""

import threading
from collections import deque

import pytest
import torch
from torch import nn

from ptq.data import image_sets
from ptq.deploy import outputs, times
from ptq.graph import allow_list, checks, module_outputs, plain_copies
from ptq.measure import grid_effects, inference, timer
from ptq.methods import distilled_images, eager_folding, norm_apart

PIXELS = torch.randint(
    0,
    256,
    (4, 3, 8, 8),
    generator=torch.Generator().manual_seed(0),
    dtype=torch.uint8,
)
IMAGES = image_sets.normalize(PIXELS, 0.5, 0.5)
LABELS = torch.zeros(4, dtype=torch.int64)


class Keeping(nn.Module):
    """Keeps features, as a plot wants them, and counts its calls."""

    blocks = (("conv", "bn", "relu"),)

    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)
        self.relu, self.flatten = nn.ReLU(), nn.Flatten()
        self.fc = nn.Linear(144, 10)
        self.last, self.every, self.calls = None, [], 0

    def forward(self, x):
        self.last = self.relu(self.bn(self.conv(x)))
        self.every.append(self.last)
        self.calls += 1
        return self.fc(self.flatten(self.last))


class Masking(Keeping):
    """Makes a mask at its first call."""

    mask = None

    def forward(self, x):
        if self.mask is None:
            self.mask = torch.ones(1)
        x = self.relu(self.bn(self.conv(x))) * self.mask
        return self.fc(self.flatten(x))


ASKING = {
    "logits": lambda n: inference.logits(n, PIXELS, (0.5, 0.5)),
    "asked": lambda n: outputs.asked(n, IMAGES),
    "full batch": lambda n: times.full_batch({"a": n}, IMAGES[:1]),
    "measured": lambda n: times.measured({"a": n}, IMAGES, 1, 0),
    "parts": lambda n: timer.parts({"a": n}, IMAGES, 1, 1, 0),
    "example": lambda n: checks.example(n, IMAGES),
    "capture": lambda n: module_outputs.capture(n, ["bn"], IMAGES),
    "clipping": lambda n: grid_effects.clipping_trials(
        n, "conv", PIXELS, LABELS, (0.5, 0.5), [4], [100]
    ),
    "distances": lambda n: distilled_images.statistics_distance(n)(IMAGES),
}
TRACING = {
    "check": allow_list.check,
    "fold": eager_folding.fold,
    "norm apart": norm_apart.norm_apart,
}


def careless(kind):
    """A network in training mode, as whoever trains it has it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return kind().train()


def facts(network):
    found = {k: v.clone() for k, v in network.state_dict().items()}
    flags = {k: m.training for k, m in network.named_modules()}
    return found, flags, [*vars(network)], network.calls


def check_as_it_was(network, before):
    found, *rest = facts(network)
    assert rest == [*before[1:]]
    assert all(torch.equal(found[k], v) for k, v in before[0].items())


@pytest.mark.parametrize("use", [*ASKING, *TRACING])
def test_what_a_forward_keeps_stays_with_its_owner(use):
    network = careless(Keeping)
    before = facts(network)
    (ASKING | TRACING)[use](network)
    if use != "example":
        check_as_it_was(network, before)
        assert network.last is None and network.every == []
    assert network.training
    assert torch.equal(network.bn.running_mean, torch.zeros(4))


@pytest.mark.parametrize("use", ASKING)
def test_training_goes_on_after_a_mask_was_made(use):
    network = careless(Masking)
    ASKING[use](network)
    network(IMAGES).sum().backward()


@pytest.mark.parametrize("use", ["capture", "logits", *TRACING])
def test_what_training_left_inside_is_copied(use):
    network = careless(Keeping)
    network(IMAGES)
    assert network.every[0].grad_fn is not None
    (ASKING | TRACING)[use](network)
    assert network.every[0] is network.last


def test_a_copy_has_no_history():
    network = careless(Keeping)
    network(IMAGES)
    network.every = {"a": (network.last, [network.last])}
    copied = plain_copies.deep(network)
    first, (second,) = copied.every["a"]
    assert first is second is copied.last
    assert first.grad_fn is None and torch.equal(first, network.last)


def test_training_mode_is_asked_as_eval_mode():
    network = careless(Keeping)
    wanted = plain_copies.deep(network).eval()(IMAGES).detach()
    assert torch.equal(outputs.asked(network, IMAGES), wanted)
    assert torch.equal(ASKING["logits"](network), wanted)


@pytest.mark.parametrize("use", ["logits", "asked", "full batch"])
def test_what_cannot_be_copied_is_asked_itself(use):
    """In eval mode, and its flags are as they were."""
    network = careless(Masking)
    network.lock = threading.Lock()
    found = ASKING[use](network)
    if use != "full batch":
        network.eval()
        assert torch.equal(found, network(IMAGES))
        network.train()
    assert network.training and network.bn.training
    assert torch.equal(network.bn.running_mean, torch.zeros(4))


def test_a_part_in_training_mode_is_asked_in_eval_mode():
    network = nn.Sequential(nn.Flatten(), nn.Dropout(0.9))
    network.training = False
    assert torch.equal(outputs.asked(network, IMAGES), IMAGES.flatten(1))
    assert network[1].training


def test_a_dict_that_holds_itself_is_copied():
    network = careless(Keeping)
    network(IMAGES)
    network.every = {"last": deque([network.last])}
    network.every["me"] = network.every
    copied = plain_copies.deep(network)
    assert copied.every["me"] is copied.every
    assert copied.every["last"][0] is copied.last


def test_a_runtime_is_not_loaded_anew_to_be_asked():
    class Runtime(nn.Module):
        keeps_nothing = True

        def __deepcopy__(self, memo):
            raise AssertionError("loaded anew")

        def forward(self, x):
            return x.flatten(1)

    found = inference.logits(Runtime(), PIXELS, (0.5, 0.5))
    assert torch.equal(found, IMAGES.flatten(1))
