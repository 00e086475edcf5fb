"""Any traceable network as a graph: what is found, kept, and refused."""

import copy
import threading

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import prune

from ptq.graph import UnsupportedError, fold, trace
from ptq.networks import recipes


@pytest.fixture(scope="module")
def images():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(4, 3, 32, 32, generator=generator) * 2 - 1


class Net(nn.Module):
    """A convolution, BN, what a test wants, and a linear layer."""

    def __init__(self, middle=None):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.middle, self.fc = middle or (lambda x: x), nn.Linear(4, 10)
        self.register_buffer("seen", torch.zeros(1))
        with torch.no_grad():
            self.bn.running_mean.normal_()
            self.bn.running_var.uniform_(0.5, 2.0)

    def forward(self, x):
        x = self.middle(self.bn(self.conv(x)))
        return self.fc(x.mean((2, 3)))


def equal(got, want):
    torch.testing.assert_close(
        got, want, rtol=0, atol=1e-4 * float(want.abs().max())
    )


def operations(graph):
    return [node.op for node in graph.nodes.values()]


def state(network):
    return {n: t.clone() for n, t in network.state_dict().items()}


def test_shipped_networks_fold(shipped, images):
    folded = fold(trace(shipped, images))
    with torch.no_grad():
        equal(folded(images), shipped(images))
    assert "batch_norm" not in operations(folded)


def test_names_and_lines_are_the_users(images):
    graph = trace(recipes.untrained("resnet8", 0), images)
    node = graph.nodes["stack2.conv1"]
    assert node.op == "convolution" and node.inputs == ["stack1.relu2"]
    assert node.shape == (-1, 32, 16, 16)
    assert node.source.startswith("resnet8.py:")
    assert graph.nodes["stack1.add"].inputs == ["stack1.bn2", "relu"]


def test_nothing_changes_the_given_network(images):
    network = Net().train()
    before = state(network)
    fold(trace(network, images))
    assert network.training and network.bn.training
    assert all(torch.equal(t, before[n]) for n, t in state(network).items())
    assert network.conv.weight.requires_grad


def test_train_and_eval_mode_are_alike(images):
    network = Net(nn.Dropout(0.5))
    first, second = (
        trace(network.train(mode), images)(images) for mode in (True, False)
    )
    assert torch.equal(first, second)


@pytest.mark.parametrize(
    "relu",
    [
        nn.ReLU(),
        nn.ReLU(inplace=True),
        F.relu,
        torch.relu,
        torch.relu_,
        lambda x: x.relu(),
        lambda x: F.relu(x, inplace=True),
        lambda x: x.clamp(min=0),
        lambda x: torch.clamp_min(x, 0),
    ],
)
def test_each_way_to_write_relu_is_one_word(relu, images):
    graph = fold(trace(Net(relu), images))
    (clamp,) = [n for n in graph.nodes.values() if n.op == "clamp"]
    assert clamp.args[1:] == (0.0, None) and clamp.inputs == ["conv"]


def test_steps_in_double_precision_are_taken_in_float32(images):
    network = Net(lambda x: x.double().square().float()).eval()
    with torch.no_grad():
        equal(trace(network, images)(images), network(images))


def test_a_module_called_twice_has_two_nodes(images):
    class Twice(Net):
        def forward(self, x):
            return super().forward(self.middle(self.middle(x)))

    graph = trace(Twice(nn.ReLU()), images)
    named = [n for n in graph.nodes if n.startswith("middle")]
    assert named == ["middle", "middle@2", "middle@3"]


def test_any_number_of_images(images):
    network = Net(lambda x: x.reshape(len(x), 4, -1).unflatten(2, (32, 32)))
    graph = trace(network, images[:1])
    for count in (1, 3):
        with torch.no_grad():
            equal(graph(images[:count]), network.eval()(images[:count]))


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float64]
)
def test_other_precisions_are_those_numbers_in_float32(dtype, images):
    network = Net().to(dtype)
    with pytest.warns(UserWarning, match="used as float32"):
        graph = trace(network, images)
    plain = trace(copy.deepcopy(network).float(), images)
    assert torch.equal(graph(images), plain(images))
    assert network.conv.weight.dtype == dtype


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize(
    "wrap",
    [
        nn.utils.weight_norm,
        nn.utils.parametrizations.weight_norm,
        nn.utils.parametrizations.spectral_norm,
        lambda layer: prune.l1_unstructured(layer, "weight", 0.5),
    ],
)
def test_weights_computed_of_others_are_plain(wrap, images):
    network = Net()
    network.conv = wrap(network.conv)
    network(images)  # so that the hook leaves a tensor with a history
    with torch.no_grad():
        want = network.eval()(images)
    graph = fold(trace(network, images))
    equal(graph(images), want)
    assert operations(graph)[:2] == ["input", "convolution"]
    assert "weight" not in dict(network.conv.named_parameters()) or (
        network.conv.weight.requires_grad
    )


@pytest.mark.parametrize(
    "wrap",
    [
        nn.utils.parametrizations.weight_norm,
        nn.utils.parametrizations.spectral_norm,
        nn.utils.parametrizations.orthogonal,
    ],
)
def test_parametrized_weights_stay_so_in_the_given_network(wrap, images):
    network = Net()
    network.middle = wrap(nn.Conv2d(4, 4, 1))
    # Both have one class, which torch makes for the first.
    network.middle = nn.Sequential(
        network.middle, copy.deepcopy(network.middle)
    )
    network.eval()
    with torch.no_grad():
        want = network(images)
    for _ in range(2):
        equal(fold(trace(network, images))(images), want)
    assert torch.equal(network(images), want)
    for part in network.middle:
        assert nn.utils.parametrize.is_parametrized(part, "weight")


class Writing(Net):
    """It scales its input in place, as many networks do."""

    def __init__(self, write):
        super().__init__()
        self.write = write

    def forward(self, x):
        self.write(x)
        return super().forward(x)


def test_images_that_a_network_writes_into_stay_as_they_are(images):
    network, given = Writing(lambda x: x.sub_(0.3).div_(0.5)), images.clone()
    graph = trace(network, given)
    assert torch.equal(given, images)
    with torch.no_grad():
        equal(graph(images), network.eval()(images.clone()))
    # One image is made two; they are copies already.
    trace(network, given[:1])
    assert torch.equal(given, images)


def test_a_part_of_the_input_written_into_is_refused(images):
    given = images.clone()
    with pytest.raises(UnsupportedError, match="writes into a view"):
        trace(Writing(lambda x: x[:, :1].mul_(2)), given)
    assert torch.equal(given, images)


def test_wrappers_are_taken_off(images):
    network = Net().eval()
    want = trace(network, images)(images)
    for wrapped in (nn.DataParallel(network), torch.compile(network)):
        graph = trace(wrapped, images)
        assert "conv" in graph.nodes
        assert torch.equal(graph(images), want)


def test_unused_layers_are_named(images):
    network = Net()
    network.idle = nn.Linear(7, 3)
    graph = trace(network, images)
    assert graph.unused == ("idle",)
    assert not any(n.startswith("idle") for n in graph.constants)


def test_forgotten_checkpoint_is_noticed(images):
    network = Net()
    network.bn = nn.BatchNorm2d(4)
    with pytest.warns(UserWarning, match="bn has its initial statistics"):
        trace(network, images)


def norm_without_statistics():
    network = Net()
    network.bn = nn.BatchNorm2d(4, track_running_stats=False)
    return network


def broken(name, index, value):
    def make():
        network = Net()
        with torch.no_grad():
            network.get_parameter(name).view(-1)[index] = value
        return network

    return make


def negative_variance():
    network = Net()
    network.bn.running_var[2] = -1.0
    return network


class Two(Net):
    def forward(self, x, side):
        return super().forward(x) + side


class Named(Net):
    def forward(self, x, *, side):
        return super().forward(x) + side


class Several(Net):
    def __init__(self, pack):
        super().__init__()
        self.pack = pack

    def forward(self, x):
        return self.pack(super().forward(x))


def by_value(x):
    if x.sum() > 0:
        return x
    return -x


def into_view(x):
    x[:, :2].sub_(1)
    return x


def locked():
    network = Net(nn.ModuleDict({"inner": nn.ReLU()}))
    network.middle["inner"].lock = threading.Lock()
    return network


class Rows(nn.Module):
    """Each image is a sequence of rows, which ``layer`` joins."""

    def __init__(self, layer):
        super().__init__()
        self.layer, self.fc = layer, nn.Linear(8, 10)

    def forward(self, x):
        x = x.flatten(1)[:, : 16 * 8].unflatten(1, (16, 8))
        needed = isinstance(self.layer, nn.MultiheadAttention)
        x, *_ = self.layer(x, x, x) if needed else self.layer(x)
        return self.fc(x.mean(1))


def two_lists(x):
    return x + x[:, [0], [1]][..., None]


def in_three_dimensions(x):
    return F.conv3d(x[:, :, None], torch.ones(4, 4, 1, 1, 1))[:, :, 0]


def into_part(x):
    y = x.clone()
    y[:, :2] = x[:, :2].relu()
    return y


def in_half(x):
    with torch.autocast("cpu", torch.bfloat16):
        return x.relu().float()


def with_gradients(x):
    with torch.enable_grad():
        return x.relu()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (norm_without_statistics, r"bn \(batch_norm.*no running statistics"),
        (broken("fc.weight", 7, torch.nan), r"fc.weight\[1, 3\] is nan"),
        (broken("conv.bias", 2, torch.inf), r"conv.bias\[2\] is inf"),
        (negative_variance, r"bn.running_var\[2\] is -1: a variance"),
        (Two, r"Two takes 2 tensors \(x, side\): one is supported"),
        (Named, r"Named takes 2 tensors \(x, side\): one is supported"),
        (lambda: Several(lambda y: (y, y)), "returns a tuple of 2"),
        (lambda: Several(lambda y: {"logits": y}), "returns a dict of 1"),
        (lambda: Several(torch.sum), r"returns shape \(\) for 2 images"),
        (
            lambda: Net(by_value),
            r"test_trace.py:\d+, `if x.sum\(\) > 0:`.*"
            "depends on the values of the images",
        ),
        (lambda: Net(lambda x: F.dropout(x, 0.5)), "drops values at random"),
        (
            lambda: Net(lambda x: x.half().float()),
            r"to \(to, test_trace.py:\d+\): its result is float16: expected",
        ),
        (
            lambda: Net(lambda x: x.int().float()),
            r"to \(to, test_trace.py:\d+\): its result is int32: expected",
        ),
        (
            lambda: Net(lambda x: x.data.clamp_(-6, 6)),
            r"Net cannot be traced: it takes the data of a tensor, as w.data",
        ),
        (lambda: Net(in_half), "autocast.*rules of its own"),
        (lambda: Net(with_gradients), "set_grad_enabled.*rules of its own"),
        (lambda: Net(lambda x: x * (x > 0)), r"gt.*its result is bool"),
        (lambda: Net(torch.sort), "do not fit|no rule for aten.sort"),
        (lambda: Net(into_view), r"sub_?.*test_trace.py:\d+.*into a view"),
        (lambda: Net(into_part), r"copy.*it writes by aten.copy_.default"),
        (lambda: Net(two_lists), "expected one list"),
        (lambda: Net(lambda x: x - x.amax(1, True)), "not of rows or col"),
        (lambda: Net(lambda x: x / len(x)), "with the number of images"),
        (
            lambda: Net(lambda x: x + torch.zeros(len(x), 4, 1, 1)),
            "by the number of images",
        ),
        (lambda: Net(lambda x: x - x.mean(0)), "averages over the images"),
        (lambda: Net(lambda x: x.flip(0)), "reorders the images of a batch"),
        (lambda: Net(in_three_dimensions), "3-d"),
        (
            lambda: Several(torch.Tensor.double),
            "Several returns float64 numbers: expected float32",
        ),
        (locked, "Net cannot be copied: middle.inner.lock: cannot pickle"),
        (
            lambda: Rows(nn.LSTM(8, 8, batch_first=True)),
            r"layer \(zeros, test_trace.py:\d+\): LSTM has no rule: its stat",
        ),
        (lambda: Rows(nn.GRU(8, 8)), "GRU has no rule: its state"),
        (
            lambda: Rows(nn.MultiheadAttention(8, 2, batch_first=True)),
            "MultiheadAttention has no rule: write it by linear layers",
        ),
        (lambda: Net(nn.LazyConv2d(4, 1)), "has no shape yet"),
        (lambda: torch.jit.script(nn.Linear(3, 3)), "TorchScript"),
        (lambda: {"weight": torch.ones(3)}, "is a dict: expected a torch.nn"),
        (lambda: torch.ao.nn.quantized.Linear(3, 3), "quantized already"),
    ],
)
def test_refused_in_one_sentence(make, message, images):
    with pytest.raises(UnsupportedError, match=f"(?s){message}") as refusal:
        trace(make(), images)
    assert "\n" not in str(refusal.value)


def into_channel(x):
    x[:, :1].clamp_(max=9.0)
    return x


def into_detached(x):
    x.detach().clamp_(-6, 6)
    return x


def into_flat(x):
    x.view(len(x), -1).clamp_(-6, 6)
    return x


def into_chunk(x):
    part, _ = x.chunk(2, 1)
    part.clamp_(max=8)
    return x


def under_view(x):
    flat = x.flatten(1)
    x.clamp_(max=8)
    return flat.unflatten(1, (4, 32, 32))


def into_overlapping(x):
    first, second = x[:, :2], x[:, 1:3]
    first.clamp_(max=8)
    return torch.cat((first, second), 1)


def into_constant(x):
    ones = torch.ones(4, 1, 1)
    ones[:1].mul_(2)
    return x * ones


def in_list(x):
    torch._foreach_clamp_max_([x], 8.0)
    return x


@pytest.mark.parametrize(
    "write",
    [
        into_channel,
        into_detached,
        into_flat,
        into_chunk,
        under_view,
        into_overlapping,
        into_constant,
        in_list,
    ],
)
def test_writes_that_others_would_see_are_refused(write, images):
    # The values of two images may all be left as they are by the write.
    with pytest.raises(UnsupportedError, match=r"test_trace.py:\d+\): it wr"):
        trace(Net(write), images)


def both_halves(x):
    first, second = x.chunk(2, 1)
    first.clamp_(max=1)
    second.clamp_(min=-1)
    return torch.cat((first, second), 1)


def gated(x):
    first, second = x.chunk(2, 1)
    return torch.cat((first * second.sigmoid_(), first), 1)


def through_flat(x):
    return x.flatten(1).clamp_(max=1).mul_(2).unflatten(1, (4, 32, 32))


def strided(x):
    first, second = x[..., ::2], x[..., 1::2]
    return torch.cat((first.clamp_(max=1), -second), 3)


def beside_residual(x):
    y = F.dropout(x.relu_(), training=False)
    return x + F.relu6(nn.Identity()(y), inplace=True)


@pytest.mark.parametrize(
    "write", [both_halves, gated, through_flat, strided, beside_residual]
)
def test_writes_that_no_other_reads_are_right(write, images):
    network = Net(write).eval()
    graph = trace(network, images)
    for given in (images, 50 * images):
        with torch.no_grad():
            equal(graph(given), network(given))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x.double(), "images are float64: expected float32"),
        (lambda x: (x * 255).byte(), "images are uint8: expected float32"),
        (lambda x: x[:0], "with N at least 1"),
        (lambda x: x[:, :1], r"images of shape \(2, 1, 32, 32\) do not fit"),
        (lambda x: x.repeat(1, 2, 1, 1)[:, :4], "do not fit Net"),
        (lambda x: x.log(), r"images\[0, 0, 0, \d+\] is nan"),
        (lambda x: x.numpy(), "images are a ndarray"),
        (lambda x: x.to_sparse(), "images are sparse, nested,"),
        (lambda x: x.to_mkldnn(), "images are sparse, nested,"),
        (lambda x: x.to("meta"), "images are sparse, nested,"),
        (lambda x: torch.nested.nested_tensor([*x]), "images are sparse, ne"),
    ],
)
def test_refused_images(change, message, images):
    with pytest.raises(UnsupportedError, match=message):
        trace(Net(), change(images))
