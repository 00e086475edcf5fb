"""Nothing changes what it is given; what cannot be used is refused by name.

Most inputs are made after public reports of other quantizers' users.
"""

import copy
import importlib
import inspect
import pickle
import pkgutil
import warnings
from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.ao.nn.quantized import FloatFunctional
from torch.nn.utils import parametrizations

import ptq
from ptq import checkpoint_bytes, input_checks
from ptq.book import drawings, exercises
from ptq.data import image_sets
from ptq.deploy import risks
from ptq.engines import (
    eager_layers,
    eager_settings,
    saved_networks,
    torch_eager,
)
from ptq.experiment import (
    correction_study,
    eager_biases,
    factors,
    layer_studies,
    strategies,
)
from ptq.graph import allow_list, module_outputs, tracing
from ptq.measure import (
    diagnostics,
    inference,
    layer_errors,
    noise_budget,
    resources,
    timer,
)
from ptq.methods import distilled_images, eager_folding
from ptq.methods.norm_apart import norm_apart as _norm_apart
from ptq.networks import checkpoints, compact_cnn, training
from ptq.quantizer import affine, calibration, quantizing

REFUSED = (input_checks.InputError, allow_list.UnsupportedError)
BLOCKS = (("conv", "bn", "relu"),)
POINTS = layer_errors.LIKE_FOR_LIKE_POINTS


def small(channels=3, seed=21, size=128, **replaced):
    """A trained-looking network of one convolution and one linear layer."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        parts = {
            "conv": nn.Conv2d(channels, 8, 3, padding=1, bias=False),
            "bn": nn.BatchNorm2d(8),
            "relu": nn.ReLU(),
            "pool": nn.MaxPool2d(8),
            "flatten": nn.Flatten(),
            "fc": nn.Linear(size, 10),
        }
        network = nn.Sequential(OrderedDict(parts | replaced))
    network.blocks = BLOCKS
    return network


def random_pixels(count=32, channels=3, height=32, width=32):
    return torch.randint(
        0,
        256,
        (count, channels, height, width),
        generator=torch.Generator().manual_seed(0),
        dtype=torch.uint8,
    )


def warmed(network, images):
    """The network in eval mode, its batch norms with honest statistics."""
    network.train()
    with torch.no_grad():
        for _ in range(10):
            network(images)
    return network.eval()


@pytest.fixture(scope="module")
def noise():
    return image_sets.normalize(random_pixels(), 0.5, 0.5)


@pytest.fixture(scope="module")
def good(noise):
    network = warmed(small(), noise)
    network.normalized = (-1.0, 1.0)
    return network


def decibels(wanted, found):
    """SQNR of what differs from image to image."""
    signal = (wanted - wanted.mean(0)).square().mean()
    return float(10 * torch.log10(signal / (wanted - found).square().mean()))


# Nothing changes what it is given.

LAYER = "conv1"
USES = {
    "eager_biases.correct_biases": lambda g: eager_biases.correct_biases(
        g.folded, g.quantized, g.images
    ),
    "eager_biases.outputs_before_relu": lambda g: (
        eager_biases.outputs_before_relu(g.quantized, [LAYER], g.images)
    ),
    "eager_biases.published_shifts": lambda g: eager_biases.published_shifts(
        g.folded, g.prepared, g.images
    ),
    "eager_biases.apply_published": lambda g: eager_biases.apply_published(
        g.prepared, {"fc2": g.shift}
    ),
    "calibration.activation_grids": lambda g: calibration.activation_grids(
        g.network, [LAYER], g.images, 127
    ),
    "eager_layers.changes": lambda g: eager_layers.changes(
        g.quantized, g.quantized
    ),
    "diagnostics.grid_use": lambda g: diagnostics.grid_use(
        g.prepared,
        eager_layers.activation_scales(g.quantized),
        g.images,
    ),
    "eager_layers.activation_scales": lambda g: (
        eager_layers.activation_scales(g.quantized)
    ),
    "torch_eager.convert": lambda g: torch_eager.convert(
        g.prepared, g.images
    ),
    "torch_eager.fuse_modules": lambda g: torch_eager.fuse_modules(
        g.network, g.network.blocks
    ),
    "eager_layers.quantized_layers": lambda g: eager_layers.quantized_layers(
        g.quantized
    ),
    "eager_layers.pre_activation": lambda g: eager_layers.pre_activation(
        g.quantized.module.conv1, g.images
    ),
    "torch_eager.prepare": lambda g: torch_eager.prepare(g.network),
    "torch_eager.save_state": lambda g: torch_eager.save_state(
        g.quantized, g.path
    ),
    "eager_layers.weight_codes": lambda g: eager_layers.weight_codes(
        g.quantized.module.conv1
    ),
    "tracing.trace": lambda g: tracing.trace(g.network, g.images),
    "quantizing.quantize": lambda g: quantizing.quantize(g.network, g.images),
    "correction_study.mean_errors": lambda g: correction_study.mean_errors(
        g.network, g.quantized, g.images
    ),
    "correction_study.left_by_count": lambda g: (
        correction_study.left_by_count(
            g.network, g.quantized, [g.images], [4], g.images
        )
    ),
    "layer_studies.at_both_points": lambda g: layer_studies.at_both_points(
        g.network, g.quantized, g.images
    ),
    "layer_studies.errors_by_batch": lambda g: layer_studies.errors_by_batch(
        g.network, {"naive": g.quantized}, g.images.repeat(3, 1, 1, 1)
    ),
    "exercises.faulty": lambda g: [
        exercises.faulty(name, g.network, g.images) for name in "abc"
    ],
    "eager_folding.fold": lambda g: eager_folding.fold(g.network),
    "eager_folding.fold_batch_norm": lambda g: eager_folding.fold_batch_norm(
        g.network.conv1, g.network.bn1
    ),
    "eager_folding.fusable": lambda g: eager_folding.fusable(g.network),
    "input_checks.check_weights": lambda g: input_checks.check_weights(
        g.network
    ),
    "resources.counted_bytes": lambda g: resources.counted_bytes(
        g.network, dict.fromkeys(compact_cnn.LAYERS, 8), False
    ),
    "timer.compare": lambda g: timer.compare(
        {"float": g.network, "integer": g.quantized},
        g.images,
        [timer.Conditions(("float", "integer"), 1, 1)],
        rounds=1,
        seed=0,
    ),
    "inference.logits": lambda g: [
        inference.logits(n, g.pixels, (0.5, 0.5))
        for n in (g.network, g.quantized)
    ],
    "timer.parts": lambda g: timer.parts(
        {"float": g.network, "integer": g.quantized}, g.images, 1, 1, 0
    ),
    "resources.payload_bytes": lambda g: resources.payload_bytes(g.quantized),
    "layer_errors.layer_errors": lambda g: [
        layer_errors.layer_errors(g.network, n, g.images, POINTS)
        for n in (g.prepared, g.quantized)
    ],
    "module_outputs.capture": lambda g: [
        module_outputs.capture(g.network, ["bn1"], g.images),
        module_outputs.capture(g.prepared, ["module.fc1"], g.images),
    ],
    "resources.macs": lambda g: resources.macs(g.network, g.images.shape[1:]),
    "checkpoints.save_checkpoint": lambda g: checkpoints.save_checkpoint(
        g.network, g.path, {}
    ),
    "noise_budget.layer_noise": lambda g: noise_budget.layer_noise(
        g.network.conv1, 0.1, g.images, g.images.square()
    ),
    "noise_budget.noise_budget": lambda g: noise_budget.noise_budget(
        g.folded,
        eager_layers.activation_scales(g.quantized),
        eager_layers.weight_scales(g.quantized),
        g.images,
        POINTS,
    ),
    "noise_budget.pass_on": lambda g: noise_budget.pass_on(
        g.network.pool1, g.images, g.images.square()
    ),
    "saved_networks.save": lambda g: saved_networks.save(g.quantized, g.path),
    "strategies.quantized": lambda g: strategies.quantized(
        g.network, g.images
    ),
    "strategies.build": lambda g: strategies.build(
        "naive", g.network, g.images
    ),
    "allow_list.check": lambda g: allow_list.check(g.network),
    "training.evaluate": lambda g: training.evaluate(
        g.network, g.pixels, g.labels, (0.5, 0.5)
    ),
    "factors.build": lambda g: factors.build(
        g.network, g.images, factors.Variant(images=4, corrected=True)
    ),
    "factors.with_biases": lambda g: factors.with_biases(g.network),
    "distilled_images.distilled_images": lambda g: (
        distilled_images.distilled_images(
            g.network, tuple(g.pixels.shape[1:]), 4, steps=2
        )
    ),
    "distilled_images.statistics_distance": lambda g: (
        distilled_images.statistics_distance(g.network)(g.images)
    ),
    "distilled_images.statistics_distances": lambda g: (
        distilled_images.statistics_distances(g.network)(g.images)
    ),
    "risks.of_training": lambda g: risks.of_training(g.network, g.images),
}
USES |= {
    f"strategies.{s.build.__name__}": lambda g, build=s.build: build(
        g.network, g.images
    )
    for s in strategies.STRATEGIES.values()
}
USES |= {
    "eager_layers.weight_scales": lambda g: eager_layers.weight_scales(
        g.quantized
    ),
    "norm_apart.norm_apart": lambda g: _norm_apart(g.network),
    "networks.act": lambda g: drawings.networks.act(g.network.conv1),
    "networks.running": lambda g: drawings.networks.running(g.prepared),
    "networks.network": lambda g: drawings.networks.network(
        g.network, {"MACs": resources.macs(g.network, g.images.shape[1:])}
    ),
    "networks.observers": lambda g: drawings.networks.observers(
        g.prepared, dict.fromkeys(torch_eager.observed(g.prepared), (-1, 1))
    ),
    "networks.folding": lambda g: drawings.networks.folding(
        g.network.blocks[0], (g.network, g.folded), (["conv1"], ["conv1"])
    ),
    "networks.region": lambda g: drawings.networks.region(g.quantized),
    "torch_eager.observed": lambda g: torch_eager.observed(g.prepared),
}
# Functions whose task is to fill or change what they are given; contexts
# and helpers of those above; and what calls those above on its own network.
OTHER = {
    "eager_layers.add_to_bias",
    "torch_eager.load_state",
    "laboratory.Experiment.evaluate",
    "run_times.compare",
    "run_times.of_networks",
    "module_outputs.evaluating",
    "checkpoints.load_checkpoint",
    "saturation.runs",
    "saved_networks.load",
    "module_groups.check_fused",
    "module_groups.check_order",
    "module_groups.check_regions",
    "module_groups.costs",
    "module_groups.blocks",
    # Parts of tracing.trace, which is tried.
    "checks.example",
    "checks.check_plain",
    "checks.prepared",
    "plain_copies.deep",
    "plain_copies.evaluated",
    "plain_copies.of",
    "checks.unused",
    "checks.warn_of_initial_statistics",
    "user_code.reason",
    # They take files, a laboratory, or the parts of the timer.
    "captioned.observers",
    "captioned.one_box",
    "checkpoints.filled",
    "input_checks.fitting",
    "interference.parts",
    "judged.counts",
    "layers.stability",
    "automatic.choose",
    "deploying.deploy",
    "inputs.checked",
    "times.measured",
    "times.under",
    "times.full_batch",
    "laboratory.Experiment.logits",
    "layer_studies.dependence",
    "strategy_rules.counted_bytes",
    "grid_effects.clipping_trials",
}


class Given:
    """One of everything, in training mode, as a careless caller has it."""

    def __init__(self, network, pixels):
        self.network = copy.deepcopy(network)
        self.pixels = pixels[:8].clone()
        self.images = image_sets.normalize(self.pixels, 0.5, 0.5)
        self.labels = torch.arange(8) % 10
        self.shift = torch.ones(10)
        self.folded = eager_folding.fold(network)
        self.prepared = torch_eager.prepare(
            self.folded, eager_folding.fusable(network)
        )
        self.quantized = torch_eager.convert(self.prepared, self.images)
        for module in self.modules().values():
            module.train()
        # Flags may differ within one network.
        self.network.bn2.eval()

    def modules(self):
        return {
            k: v for k, v in vars(self).items() if isinstance(v, nn.Module)
        }

    def facts(self):
        """All that a function might have changed, to be compared."""
        found = {
            k: v.clone() for k, v in vars(self).items() if torch.is_tensor(v)
        }
        for name, module in self.modules().items():
            found |= {
                f"{name} {key}": copy.deepcopy(value)
                for key, value in module.state_dict().items()
            }
            found |= {
                f"{name} {key} flags": (
                    type(part),
                    part.training,
                    len(part._forward_hooks),
                    len(part._forward_pre_hooks),
                )
                for key, part in module.named_modules()
            }
        found["engine"] = torch.backends.quantized.engine
        found["threads"] = torch.get_num_threads()
        found["generator"] = torch.get_rng_state()
        return found


def same(first, second):
    if isinstance(first, tuple):
        return all(map(same, first, second))
    if not torch.is_tensor(first):
        return first == second
    return first.dtype == second.dtype and torch.equal(first, second)


@pytest.fixture(scope="module")
def careless(network, pixels):
    eager_settings.select()
    return Given(network, pixels)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", USES)
def test_nothing_changes_what_it_is_given(name, careless, tmp_path):
    given = copy.deepcopy(careless)
    given.path = tmp_path / "a.pt"
    before = given.facts()
    USES[name](given)
    after = given.facts()
    assert before.keys() == after.keys()
    assert not [k for k in before if not same(before[k], after[k])]


def public_functions():
    for module in pkgutil.walk_packages(ptq.__path__, "ptq."):
        if not module.ispkg and not module.name.endswith("__"):
            found = importlib.import_module(module.name)
            short = module.name.rpartition(".")[2]
            for name, thing in vars(found).items():
                if getattr(thing, "__module__", "") != found.__name__:
                    continue
                if inspect.isclass(thing):
                    for key, method in vars(thing).items():
                        yield f"{short}.{name}.{key}", method
                yield f"{short}.{name}", thing


def test_every_function_that_takes_a_network_is_tried():
    taking = {
        name
        for name, thing in public_functions()
        if inspect.isfunction(thing)
        and "._" not in name
        and any(
            "Module" in str(parameter.annotation)
            for parameter in inspect.signature(thing).parameters.values()
        )
    }
    assert taking - OTHER <= USES.keys() | {"eager_folding.fold_batch_norm"}


def test_training_mode_measures_what_eval_mode_does(noise):
    network = small(
        seed=23, drop=nn.Dropout(0.5), pool=nn.MaxPool2d(8), relu=nn.ReLU()
    )
    parts = OrderedDict(network.named_children())
    fc = parts.pop("fc")
    parts["drop"] = parts.pop("drop")
    network = nn.Sequential(parts | OrderedDict(fc=fc))
    network.blocks = BLOCKS
    warmed(network, noise)
    integer = strategies.folded(network, noise)
    points = {"conv": "relu", "fc": "fc"}
    found = [
        layer_errors.layer_errors(network, integer, noise, points)
        for network in (network, copy.deepcopy(network).train())
    ]
    assert found[0] == found[1]
    assert all(error.sqnr > 30 for error in found[1].values())


def test_evaluating_restores_flags_after_an_error(good):
    network = copy.deepcopy(good).train()
    network.bn.eval()
    with pytest.raises(ZeroDivisionError), module_outputs.evaluating(network):
        assert not any(m.training for m in network.modules())
        _ = 1 / 0
    flags = {name: m.training for name, m in network.named_modules()}
    assert [name for name, flag in flags.items() if not flag] == ["bn"]


def test_a_prepared_network_calibrates_twice_the_same(network, images):
    prepared = torch_eager.prepare(network)
    torch_eager.convert(prepared, 3 * images.clamp(-0.3, 0.3))
    module_outputs.capture(prepared, ["module.fc2"], images)
    few = images[:2] / 2
    again, fresh = (
        eager_layers.activation_scales(torch_eager.convert(p, few))
        for p in (prepared, torch_eager.prepare(network))
    )
    assert again == fresh


# Images.

SHAPE = (4, 3, 32, 32)
RAMP = torch.linspace(0, 1, 4 * 3 * 32 * 32).reshape(SHAPE)
NOT_PIXELS = {
    "float 0..1": (RAMP, "float32 from 0 to 1"),
    "float 0..255": (RAMP * 255, "float32 from 0 to 255"),
    "half": (RAMP.half(), "float16"),
    "int64": (torch.ones(SHAPE, dtype=torch.int64), "int64 from 1 to 1"),
    "uint16": (torch.full(SHAPE, 257).to(torch.uint16), "uint16 from 257"),
    "empty": (torch.empty(0, 3, 32, 32, dtype=torch.uint8), "no images"),
    "list": ([torch.zeros(3, 32, 32)], "list of 1"),
    "tuple": ((torch.zeros(SHAPE), torch.zeros(4, 2)), "tuple of 2"),
    "no pixels": (torch.empty(4, 3, 0, 32, dtype=torch.uint8), "no images"),
    "sparse": (random_pixels(4).to_sparse(), "sparse, nested, quantized"),
    "elsewhere": (random_pixels(4).to("meta"), "not on the CPU"),
}


@pytest.mark.parametrize("kind", NOT_PIXELS)
@pytest.mark.parametrize("ask", ["normalize", "logits", "evaluate"])
def test_only_uint8_pixels_are_asked(kind, ask, good):
    images, message = NOT_PIXELS[kind]
    labels = torch.zeros(len(images), dtype=torch.int64)
    calls = {
        "normalize": lambda: image_sets.normalize(images, 0.5, 0.5),
        "logits": lambda: inference.logits(good, images, (0.5, 0.5)),
        "evaluate": lambda: training.evaluate(
            good, images, labels, (0.5, 0.5)
        ),
    }
    with pytest.raises(input_checks.InputError, match=message):
        calls[ask]()


def test_evaluate_counts_the_labels(good):
    with pytest.raises(ValueError, match=r"\(3, 1\), .*\(4,\)"):
        training.evaluate(
            good,
            random_pixels(4),
            torch.zeros(3, 1, dtype=torch.int64),
            (0.5, 0.5),
        )


def test_calibration_on_the_right_images(good, noise):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        built = strategies.folded(good, noise)
        strategies.folded(good, noise[:1])
        strategies.folded(good, torch.zeros(1, 3, 32, 32))
    with torch.inference_mode():
        assert 22 < decibels(good(noise), built(noise)) < 26


@pytest.mark.parametrize(
    ("change", "both"),
    [
        (lambda x: (x + 1) * 127.5, "0 to 255.*-1 to 1"),
        (lambda x: (x + 1) / 2, "0 to 1,.*-1 to 1"),
        (lambda x: (x - 0.1) / 0.25, r"-4\.4 to 3\.6.*-1 to 1"),
    ],
)
def test_calibration_of_another_range_is_told(good, noise, change, both):
    with pytest.warns(input_checks.RangeWarning, match=both):
        strategies.folded(good, change(noise))


def test_a_network_that_expects_no_range_is_told_of_none(noise):
    with warnings.catch_warnings():
        warnings.simplefilter("error", input_checks.RangeWarning)
        strategies.folded(warmed(small(), noise), (noise + 1) / 2)


BAD_IMAGES = {
    "nan": (torch.full(SHAPE, float("nan")), r"images\[0, 0, 0, 0\] is nan"),
    "inf": (torch.full(SHAPE, -float("inf")), r"images\[.*\] is -inf"),
    "empty": (torch.empty(0, 3, 32, 32), "no images"),
    "uint8": (random_pixels(4), "uint8 from 0 to 255: expected float32"),
    "double": (RAMP.double(), "float64"),
    "RGBA": (torch.zeros(4, 4, 32, 32) - 0.5, "conv takes 3 .* given 4"),
    "other size": (torch.zeros(4, 3, 24, 24) - 0.5, "fc takes 128 .* 72"),
    "several": ((RAMP, RAMP), "tuple of 2"),
    "a number": (torch.tensor(0.5), "no images: .* shape ()"),
    "no channels": (torch.empty(4, 0, 32, 32), "no images"),
    "one image": (RAMP[0], r"\(3, 32, 32\): expected \(N, channels"),
    "one dimension more": (RAMP[None], r"expected \(N, channels"),
    "sparse": (RAMP.to_sparse(), "sparse, nested, quantized"),
    "elsewhere": (RAMP.to("meta"), "not on the CPU"),
    "quantized": (
        torch.quantize_per_tensor(RAMP, 0.01, 0, torch.quint8),
        "sparse, nested, quantized",
    ),
}


@pytest.mark.parametrize("kind", BAD_IMAGES)
@pytest.mark.parametrize(
    "use",
    [
        lambda n, x: strategies.naive(n, x),
        lambda n, x: strategies.folded(n, x),
        lambda n, x: module_outputs.capture(n, ["fc"], x),
        lambda n, x: calibration.activation_grids(n, ["fc"], x, 127),
        lambda n, x: torch_eager.convert(torch_eager.prepare(n), x),
    ],
    ids=["naive", "folded", "capture", "grids", "convert"],
)
def test_images_of_no_use_are_refused(kind, use, good):
    images, message = BAD_IMAGES[kind]
    with pytest.raises(input_checks.InputError, match=message):
        use(good, images)


def test_images_of_other_channels_are_not_asked(good, noise):
    built = strategies.folded(good, noise)
    for network in (good, built):
        with pytest.raises(
            input_checks.InputError, match="conv takes 3 .* 4"
        ):
            inference.logits(network, random_pixels(2, 4), (0.5, 0.5))


def test_one_channel_odd_sizes_and_single_images_work():
    pixels = random_pixels(32, 1, 31, 45)
    images = image_sets.normalize(pixels, 0.5, 0.5)
    network = warmed(small(1, 22, size=8 * 3 * 5), images)
    built = strategies.folded(network, images)
    whole = inference.logits(built, pixels, (0.5, 0.5))
    single = [
        inference.logits(built, part, (0.5, 0.5)) for part in pixels.split(1)
    ]
    assert torch.equal(whole, torch.cat(single))
    assert decibels(inference.logits(network, pixels, (0.5, 0.5)), whole) > 20


def test_a_split_leaves_training_images():
    assert [len(part) for part in image_sets.split(0, 5_001)] == [1, 5_000]
    for size in (0, 100, 5_000):
        with pytest.raises(ValueError, match=f"size={size}: leaves no"):
            image_sets.split(0, size)


# Weights.


@pytest.mark.parametrize(
    ("tensor", "index", "value"),
    [
        ("fc.weight", (3, 7), float("nan")),
        ("conv.weight", (0, 0, 0, 0), float("inf")),
        ("fc.bias", (2,), -float("inf")),
        ("bn.bias", (5,), float("nan")),
        ("bn.running_mean", (1,), float("nan")),
        ("bn.running_var", (2,), -1.0),
    ],
)
@pytest.mark.parametrize("use", ["fold", "naive", "folded", "fp32"])
def test_numbers_of_no_use_are_refused(
    tensor, index, value, use, good, noise
):
    network = copy.deepcopy(good)
    network.state_dict()[tensor][index] = value
    place = f"{tensor}[{', '.join(map(str, index))}] is {value}"
    uses = {
        "fold": lambda: eager_folding.fold(network),
        "naive": lambda: strategies.naive(network, noise),
        "folded": lambda: strategies.folded(network, noise),
        "fp32": lambda: strategies.fp32(network, noise),
    }
    with pytest.raises(input_checks.InputError) as caught:
        uses[use]()
    assert place in str(caught.value)


def test_a_network_of_nan_is_not_measured(good):
    network = copy.deepcopy(good)
    network.fc.bias.data[4] = float("nan")
    with pytest.raises(
        input_checks.InputError, match=r"outputs\[0, 4\] is nan"
    ):
        inference.logits(network, random_pixels(4), (0.5, 0.5))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda w: w.to_sparse(), "fc.weight is sparse or quantized"),
        (lambda w: w.to(torch.int32), "fc.weight is int32"),
        (lambda w: w.to(torch.int64), "fc.weight is int64"),
    ],
)
def test_weights_of_other_kinds_are_refused(make, told, good, noise):
    network = copy.deepcopy(good)
    weight = make(network.fc.weight.data)
    network.fc.weight = nn.Parameter(weight, requires_grad=False)
    with pytest.raises(input_checks.InputError, match=told):
        strategies.folded(network, noise)


def test_a_scripted_network_is_refused(good, noise):
    layers = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
    for network in (
        torch.jit.script(layers),
        torch.jit.trace(layers, noise[:1]),
    ):
        with pytest.raises(allow_list.UnsupportedError, match="torch.jit"):
            strategies.naive(network, noise)


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float64]
)
def test_other_precisions_are_refused(dtype, good, noise):
    network = copy.deepcopy(good).to(dtype)
    name = str(dtype).removeprefix("torch.")
    for use in (eager_folding.fold, torch_eager.prepare):
        with pytest.raises(
            input_checks.InputError, match=f"weight is {name}"
        ):
            use(network)


def test_nan_has_no_code():
    grid = affine.affine_grid(torch.tensor(-1.0), torch.tensor(1.0), 0, 9)
    with pytest.raises(ValueError, match="nan"):
        affine.quantize(torch.tensor([0.0, float("nan")]), grid)
    with pytest.raises(ValueError, match="no values"):
        calibration.minmax(torch.empty(0))


# Networks.


class Residual(nn.Module):
    """Adds by an operator or by a module; some parts are for other tests."""

    blocks = BLOCKS

    def __init__(self, how):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.bn = nn.BatchNorm2d(8)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(8, 8, 3, padding=1)
        self.sum = FloatFunctional()
        self.pool = nn.MaxPool2d(8)
        self.fc = nn.Linear(128, 10)
        self.how = how

    def forward(self, x):
        x = self.relu(self.bn(self.conv(x)))
        y = self.conv2(x)
        x = getattr(self, self.how)(x, y)
        return self.fc(self.pool(x).flatten(1))

    def module(self, x, y):
        return self.sum.add_relu(x, y)

    def operator(self, x, y):
        return x + y

    def inplace(self, x, y):
        x += y
        return x

    def function(self, x, y):
        return torch.relu(self.sum.add(x, y))

    def joined(self, x, y):
        return torch.cat([x, y], 1)[:, :8]

    def twice(self, x, y):
        return self.sum.add(self.conv2(y), x)

    def summed_twice(self, x, y):
        return self.sum.add(self.sum.add(x, y), y)

    def by_value(self, x, y):
        return x if x.sum() > 0 else y


class Ends(nn.Module):
    """Several inputs or outputs."""

    blocks = ()

    def __init__(self, how):
        super().__init__()
        self.fc, self.how = nn.Linear(4, 2), how

    def forward(self, x):
        out = self.fc(x)
        return {"tuple": (out, x), "dict": {"a": out}}[self.how]


class Two(nn.Module):
    """Takes two tensors."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 2)

    def forward(self, x, side):
        return self.fc(x)


class Own(nn.Module):
    """A user's layer with a parameter of its own."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return x * self.scale


class Unused(nn.MaxPool2d):
    """Registers a layer that it never calls."""

    def __init__(self):
        super().__init__(8)
        self.idle = nn.Linear(7, 3)


class OwnConv(nn.Conv2d):
    """A user's convolution, which may do anything."""


def shared_relu():
    network = small()
    parts = OrderedDict(network.named_children())
    network = nn.Sequential(parts | OrderedDict(again=parts["relu"]))
    network.blocks = BLOCKS
    return network


REFUSALS = {
    "PReLU": (lambda: small(relu=nn.PReLU(8)), "relu is a PReLU"),
    "LeakyReLU": (lambda: small(relu=nn.LeakyReLU()), "is a LeakyReLU"),
    "ReLU6": (lambda: small(relu=nn.ReLU6()), "relu is a ReLU6"),
    "SiLU": (lambda: small(relu=nn.SiLU()), "relu is a SiLU"),
    "GELU": (lambda: small(relu=nn.GELU()), "relu is a GELU"),
    "LayerNorm": (lambda: small(pool=nn.LayerNorm(32)), "LayerNorm"),
    "transposed": (
        lambda: small(pool=nn.ConvTranspose2d(8, 8, 3)),
        "pool is a ConvTranspose2d",
    ),
    "BatchNorm1d": (
        lambda: small(fc2=nn.BatchNorm1d(10)),
        r"fc2 is a BatchNorm1d.*W g\[:, None\]",
    ),
    "no statistics": (
        lambda: small(bn=nn.BatchNorm2d(8, track_running_stats=False)),
        "bn keeps no running statistics",
    ),
    "reflect": (
        lambda: small(conv=nn.Conv2d(3, 8, 3, padding_mode="reflect")),
        "conv pads by padding_mode='reflect'",
    ),
    "circular": (
        lambda: small(conv=nn.Conv2d(3, 8, 3, padding_mode="circular")),
        "conv pads by padding_mode='circular'",
    ),
    "same": (
        lambda: small(conv=nn.Conv2d(3, 8, 3, padding="same")),
        "conv has padding='same'",
    ),
    "weight_norm": (
        lambda: small(conv=parametrizations.weight_norm(nn.Conv2d(3, 8, 3))),
        "conv: its weight is computed",
    ),
    "old weight_norm": (
        lambda: small(conv=nn.utils.weight_norm(nn.Conv2d(3, 8, 3))),
        "conv: its weight is computed",
    ),
    "own layer": (lambda: small(pool=Own()), "pool is a Own"),
    "own convolution": (
        lambda: small(conv=OwnConv(3, 8, 3, padding=1)),
        "conv is a OwnConv",
    ),
    "shared ReLU": (shared_relu, "relu is used 2 times"),
    "shared convolution": (lambda: Residual("twice"), "conv2 is used 2"),
    "shared sum": (
        lambda: Residual("summed_twice"),
        "sum.activation_post_process is used 2 times",
    ),
    "never used": (
        lambda: small(pool=Unused()),
        "pool.idle is never used by the network",
    ),
    "operator": (lambda: Residual("operator"), "add .* on .* relu, conv2"),
    "in place": (lambda: Residual("inplace"), "add .* on .* relu, conv2"),
    "function": (lambda: Residual("function"), r"relu .*nn\.ReLU\(\)"),
    "cat": (lambda: Residual("joined"), "cat .*FloatFunctional"),
    "by value": (lambda: Residual("by_value"), "cannot be traced"),
    "tuple out": (lambda: Ends("tuple"), "returns a tuple or list of 2"),
    "dict out": (lambda: Ends("dict"), "returns a dict of 1"),
    "two inputs": (Two, r"takes 2 tensors \(x, side\)"),
    "no network": (lambda: [1], "a list: expected a torch.nn.Module"),
}


@pytest.mark.parametrize("kind", REFUSALS)
@pytest.mark.parametrize("use", ["fold", "naive", "folded"])
@pytest.mark.filterwarnings("ignore:.*weight_norm.*deprecated")
def test_unsupported_networks_are_refused(kind, use, noise):
    make, message = REFUSALS[kind]
    network = make()
    uses = {
        "fold": lambda: eager_folding.fold(network),
        "naive": lambda: strategies.naive(network, noise),
        "folded": lambda: strategies.folded(network, noise),
    }
    with pytest.raises(allow_list.UnsupportedError, match=message) as caught:
        uses[use]()
    assert "\n" not in str(caught.value)


def test_what_the_engine_has_no_kernel_for_is_one_sentence(noise, good):
    prepared = torch_eager.prepare(good)
    prepared.module.relu.register_forward_hook(lambda m, i, o: o + i[0])
    with pytest.raises(
        allow_list.UnsupportedError, match="does not run"
    ) as e:
        torch_eager.convert(prepared, noise)
    assert "Facebook" not in str(e.value)


@pytest.mark.parametrize("shape", ["size", "shape", "reshape", "flatten"])
def test_functions_of_shapes_are_taken(shape, noise):
    class Shaped(nn.Module):
        blocks = ()

        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 8, 3, stride=8)
            self.relu = nn.ReLU()
            self.fc = nn.Linear(128, 10)

        def forward(self, x):
            x = self.relu(self.conv(x))
            flat = {
                "size": lambda: x.view(x.size(0), -1),
                "shape": lambda: x.view(-1, x.shape[1] * x.shape[2] ** 2),
                "reshape": lambda: x.reshape(len(noise), -1),
                "flatten": lambda: torch.flatten(x, 1),
            }
            return self.fc(flat[shape]())

    network = Shaped().eval()
    if shape == "reshape":
        noise = noise[:32]
    prepared = torch_eager.prepare(network)
    assert prepared(noise).shape == (32, 10)


def test_a_sum_by_a_module_is_taken(noise):
    network = warmed(Residual("module"), noise)
    built = strategies.folded(network, noise)
    with torch.inference_mode():
        assert decibels(network(noise), built(noise)) > 15


WRONG_BLOCKS = {
    "missing": (None, "has no list `blocks`"),
    "a name": ((("conv"),), "block 'conv': expected the names"),
    "one member": ((("conv",),), "expected the names"),
    "not names": (((1, 2, 3),), "expected the names"),
    "unknown": ((("conv", "nb", "relu"),), "uses no module 'nb'"),
    "order": ((("bn", "conv", "relu"),), "conv does not take the output"),
    "twice": (BLOCKS * 2, "conv is named 2 times"),
    "far away": ((("conv", "bn", "fc"),), "fc does not take the output"),
}


@pytest.mark.parametrize("kind", WRONG_BLOCKS)
@pytest.mark.parametrize("use", [eager_folding.fold, eager_folding.fusable])
def test_wrong_blocks_are_refused(kind, use, good):
    network = copy.deepcopy(good)
    network.blocks, message = WRONG_BLOCKS[kind]
    with pytest.raises(allow_list.UnsupportedError, match=message):
        use(network)


def test_a_part_named_blocks_is_told_from_the_list(noise):
    network = nn.Sequential(OrderedDict(blocks=small()))
    for use in (eager_folding.fold, eager_folding.fusable):
        with pytest.raises(
            allow_list.UnsupportedError, match="has a part named blocks"
        ):
            use(network)
    assert eager_layers.quantized_layers(strategies.naive(network, noise))


def test_an_output_used_elsewhere_is_not_fused(noise):
    network = Residual("module").eval()
    network.blocks = (("conv", "bn", None),)
    eager_folding.fold(network)
    with pytest.raises(allow_list.UnsupportedError, match="no rule to fuse"):
        torch_eager.prepare(network, [("bn", "relu")])
    network.blocks = (("conv", "bn", "relu"),)
    assert eager_folding.fusable(network) == [("conv", "relu")]


def test_a_variance_of_zero_is_not_divided_by(good):
    network = copy.deepcopy(good)
    network.bn.eps, network.bn.running_var[2] = 0.0, 0.0
    with pytest.raises(input_checks.InputError, match=r"eps\)\[2\] is -?inf"):
        eager_folding.fold(network)


@pytest.mark.parametrize("group", [("conv", "bn"), ("conv", "bn", None)])
def test_a_block_may_have_no_relu(group, good, noise):
    network = copy.deepcopy(good)
    network.blocks = (group,)
    folded = eager_folding.fold(network)
    with torch.inference_mode():
        wanted = network(noise)
        assert decibels(wanted, folded(noise)) > 100
        built = strategies.folded(network, noise)
        assert decibels(wanted, built(noise)) > 15
    assert eager_folding.fusable(network) == []


def test_a_norm_without_parameters_has_gain_one(noise):
    network = warmed(small(bn=nn.BatchNorm2d(8, affine=False)), noise)
    with torch.inference_mode():
        wanted = network(noise)
        for build in (strategies.naive, strategies.folded):
            assert decibels(wanted, build(network, noise)(noise)) > 18
        assert decibels(wanted, eager_folding.fold(network)(noise)) > 100


def test_averages_and_joined_branches_say_what_they_cost(noise):
    network = warmed(small(pool=nn.AvgPool2d(8)), noise)
    with pytest.warns(allow_list.CostWarning, match="^pool averages"):
        built = strategies.folded(network, noise)
    fused = eager_folding.fusable(network)
    with warnings.catch_warnings():
        warnings.simplefilter("error", allow_list.CostWarning)
        apart = torch_eager.prepare(
            eager_folding.fold(network), fused, [("pool",)]
        )
    with torch.inference_mode():
        found = [
            decibels(network(noise), net(noise))
            for net in (built, torch_eager.convert(apart, noise))
        ]
    assert found[1] > found[0] + 3


def test_layers_are_corrected_in_the_order_in_which_they_run(noise):
    class Chain(nn.Module):
        blocks = ()

        def __init__(self, names):
            super().__init__()
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(44)
                parts = {
                    "conv1": nn.Conv2d(3, 8, 3, padding=1),
                    "relu1": nn.ReLU(),
                    "conv2": nn.Conv2d(8, 8, 3, padding=1),
                    "relu2": nn.ReLU(),
                    "pool": nn.MaxPool2d(8),
                    "fc": nn.Linear(128, 10),
                }
            for name in names(parts):
                setattr(self, name, parts[name])

        def forward(self, x):
            x = self.relu1(self.conv1(x))
            x = self.pool(self.relu2(self.conv2(x)))
            return self.fc(x.flatten(1))

    found = []
    for names in (list, reversed):
        network = Chain(names).eval()
        built = strategies.naive(network, noise)
        found.append(eager_biases.correct_biases(network, built, noise))
    with torch.inference_mode():
        assert torch.equal(*(net(noise) for net in found))
    with pytest.raises(allow_list.UnsupportedError, match="runs them as"):
        torch_eager.prepare(network, keep_float=[("conv1",)])


def test_a_float_region_of_unknown_parts_is_refused(good):
    with pytest.raises(allow_list.UnsupportedError, match="'nocv' is no"):
        torch_eager.prepare(good, keep_float=[("nocv",)])


# Files.


@pytest.fixture(scope="module")
def saved(good, noise, tmp_path_factory):
    eager_settings.select()
    built = strategies.folded(good, noise)
    path = tmp_path_factory.mktemp("state") / "folded.pt"
    torch_eager.save_state(built, path)
    return built, path.read_bytes()


def refuses(network, content, path, message):
    """One sentence with the file's name, and an unchanged network."""
    path.write_bytes(content)
    before = copy.deepcopy(network.state_dict())
    with pytest.raises(
        checkpoint_bytes.CheckpointError, match=message
    ) as caught:
        torch_eager.load_state(network, path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    after = network.state_dict()
    assert all(same(value, after[key]) for key, value in before.items())


def test_every_flipped_bit_is_refused(saved, tmp_path):
    built, content = saved
    network = copy.deepcopy(built)
    generator = torch.Generator().manual_seed(32)
    flips = torch.randint(0, 8 * len(content), (300,), generator=generator)
    for bit in flips.tolist():
        spoiled = bytearray(content)
        spoiled[bit // 8] ^= 1 << bit % 8
        refuses(network, spoiled, tmp_path / "a.pt", "damaged")


class Code:
    """Would run when it is unpickled."""

    def __reduce__(self):
        return exec, ("raise SystemExit('a pickle ran')",)


@pytest.mark.parametrize(
    "kind", ["cut", "empty", "longer", "pickle", "folder", "missing"]
)
def test_other_files_are_refused(kind, saved, tmp_path):
    built, content = saved
    contents = {
        "cut": content[: len(content) // 2],
        "empty": b"",
        "longer": content + b"\0",
        "pickle": pickle.dumps(Code()),
    }
    if kind in contents:
        refuses(built, contents[kind], tmp_path / "a.pt", "damaged")
        return
    path = tmp_path if kind == "folder" else tmp_path / "none.pt"
    with pytest.raises(checkpoint_bytes.CheckpointError, match=str(path)):
        torch_eager.load_state(built, path)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_pickle_with_a_right_checksum_does_not_run(saved, tmp_path):
    built, content = saved
    body = pickle.dumps(Code()) + content[-64:-32]
    signed = body + saved_networks.hashlib.sha256(body).digest()
    refuses(built, signed, tmp_path / "a.pt", "no plain tensors")


@pytest.mark.parametrize(
    "kind, message",
    [
        ("old", "holds no state that torch takes"),
        ("numbers", "holds 3: expected names"),
    ],
)
def test_a_state_with_a_right_checksum_is_refused(
    kind, message, saved, tmp_path
):
    built, content = saved
    # Without its versions, torch takes a state for one of an old release.
    state = dict(built.state_dict())
    if kind == "numbers":
        state |= {3: torch.ones(1)}
    body = checkpoint_bytes.pack(state) + content[-64:-32]
    signed = body + saved_networks.hashlib.sha256(body).digest()
    refuses(built, signed, tmp_path / "a.pt", message)


OTHER_STRUCTURES = {
    "naive": (lambda n, x: strategies.naive(n, x), "bn.* absent there"),
    "float": (lambda n, x: copy.deepcopy(n), "absent"),
    "per channel": (
        lambda n, x: strategies.quantized(
            n, x, qconfig=eager_settings.QConfig(True)
        ),
        "per_tensor_affine .* there, qint8 per_channel_affine",
    ),
    "wider": (
        lambda n, x: strategies.folded(
            small(size=512, pool=nn.MaxPool2d(4)), x
        ),
        r"fc.* \(10, 128\).* there, .*\(10, 512\)",
    ),
    "other pooling": (
        lambda n, x: strategies.folded(
            small(pool=nn.MaxPool2d(9, 8, padding=4)), x
        ),
        "kinds of its layers or their settings",
    ),
    "unfused": (
        lambda n, x: torch_eager.convert(
            torch_eager.prepare(eager_folding.fold(n)), x
        ),
        "kinds of its layers or their settings",
    ),
}


@pytest.mark.parametrize("kind", OTHER_STRUCTURES)
def test_another_structure_is_refused(kind, saved, good, noise, tmp_path):
    make, message = OTHER_STRUCTURES[kind]
    refuses(make(good, noise[:2]), saved[1], tmp_path / "a.pt", message)


@pytest.mark.skipif(
    len(eager_settings.available()) < 2, reason="only one engine is here"
)
def test_another_engine_is_refused(saved, good, noise, tmp_path):
    here, other = eager_settings.available()[:2]
    with eager_settings.selected(other):
        network = strategies.folded(good, noise[:2])
    assert torch.backends.quantized.engine == here
    message = f"engine {here}, this network of {other}"
    refuses(network, saved[1], tmp_path / "a.pt", message)


def test_structure_adds_little_to_a_file(saved):
    built, content = saved
    assert len(content) - len(checkpoint_bytes.pack(built.state_dict())) == 64


# Checkpoints.


def checkpoint(state, path):
    """Save a state as ``save_checkpoint`` does."""
    holder = nn.Module()
    holder.state_dict = lambda: state
    checkpoints.save_checkpoint(holder, path, {})
    return path


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float64]
)
def test_other_precisions_become_float32_with_a_word(dtype, good, tmp_path):
    source = copy.deepcopy(good).to(dtype)
    path = checkpoint(source.state_dict(), tmp_path / "a.pt")
    network = small(seed=0)
    told = f"{str(dtype).removeprefix('torch.')} numbers: converted"
    with pytest.warns(UserWarning, match=told):
        checkpoints.load_checkpoint(path, network)
    wanted = source.float().state_dict()
    for name, tensor in network.state_dict().items():
        assert same(tensor, wanted[name]), name


def test_the_prefix_of_parallel_training_is_dropped(good, tmp_path):
    state = nn.DataParallel(good).state_dict()
    path = checkpoint(state, tmp_path / "a.pt")
    network = small(seed=0)
    checkpoints.load_checkpoint(path, network)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, good.state_dict()[name])


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("fc.bias", torch.full((10,), float("nan")), r"fc\.bias\[0\] is nan"),
        ("fc.bias", torch.zeros(9), r"fc\.bias is \(9,\) there, \(10,\)"),
        ("fc.bias", 3.0, "no tensors by name"),
        ("extra", torch.zeros(1), "extra is"),
    ],
)
def test_a_refused_checkpoint_changes_nothing(
    key, value, message, good, tmp_path
):
    state = small(seed=0).state_dict() | {key: value}
    network = copy.deepcopy(good)
    path = tmp_path / "a.pt"
    packed = checkpoint_bytes.pack(state)
    path.write_bytes(packed)
    digest = saved_networks.hashlib.sha256(packed).hexdigest()
    checkpoints.card_path(path).write_text(f'{{"sha256": "{digest}"}}')
    with pytest.raises(
        checkpoint_bytes.CheckpointError, match=message
    ) as caught:
        checkpoints.load_checkpoint(path, network)
    assert str(path) in str(caught.value)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, good.state_dict()[name])
