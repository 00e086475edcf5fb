"""Small networks in which quantization goes wrong silently, if it does.

Each is a class or function that takes no argument, for images of ``SHAPES``
or (3, 16, 16); weights are random, BN statistics come from images.
"""

import torch
from torch import nn
from torch.nn import functional as F


class Body(nn.Module):
    """Convolution and BN, ``middle``, pooling and a linear layer."""

    def __init__(self, middle=None, out=8, channels=3):
        super().__init__()
        self.conv = nn.Conv2d(channels, 8, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(8)
        self.middle = middle or nn.ReLU()
        self.pool, self.fc = nn.AdaptiveAvgPool2d(2), nn.Linear(4 * out, 10)

    def forward(self, x):
        x = self.middle(self.bn(self.conv(x)))
        return self.fc(self.pool(x).flatten(1))


def seq(*modules, out=8):
    return lambda: Body(nn.Sequential(*(make() for make in modules)), out)


def conv(*args, **kwargs):
    return lambda: nn.Conv2d(*args, **kwargs)


class Call(nn.Module):
    """A function of the networks' own, as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def call(function, out=8):
    return lambda: Body(Call(function), out)


class OneReLU(nn.Module):
    """One ReLU object behind two convolutions."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)
        self.fc = nn.Linear(8, 10)

    def forward(self, x):
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.fc(x.mean((2, 3)))


class SharedConvolution(nn.Module):
    """One convolution used twice, a BN for each path, or for one only."""

    def __init__(self, both):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.bn1, self.bn2 = nn.BatchNorm2d(8), nn.BatchNorm2d(8)
        self.both, self.fc = both, nn.Linear(16, 10)
        with torch.no_grad():
            self.bn1.weight.uniform_(0.3, 2.0)
            self.bn2.weight.uniform_(-2.0, -0.3)

    def forward(self, x):
        a, b = self.bn1(self.conv(x)).relu(), self.conv(x.flip(3))
        b = self.bn2(b) if self.both else b
        return self.fc(torch.cat([a.mean((2, 3)), b.mean((2, 3))], 1))


class SharedWeight(nn.Module):
    """One tensor as a convolution's weight and as a linear layer's."""

    def __init__(self):
        super().__init__()
        self.conv, self.mix = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 1)
        self.fc = nn.Linear(8, 10)

    def forward(self, x):
        x = self.mix(self.conv(x).relu()).relu().mean((2, 3))
        return self.fc(F.linear(x, 3 * self.mix.weight[:, :, 0, 0]).relu())


class Residual(nn.Module):
    def __init__(self, join):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8)
        self.join, self.fc = join, nn.Linear(8, 10)

    def forward(self, x):
        x = self.bn1(self.conv1(x))
        y = self.bn2(self.conv2(x.relu()))
        return self.fc(self.join(x, y).mean((2, 3)))


class InputAgain(nn.Module):
    """The input itself is added, joined, and read by a function."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 3, 3, padding=1), nn.Linear(9, 10)

    def forward(self, x):
        y = self.conv(x).relu()
        x = torch.cat([x + y, x, x.sigmoid()], 1)
        return self.fc(F.adaptive_max_pool2d(x, 1).flatten(1))


class InPlaceSecondReader(nn.Module):
    """The sum reads what the ReLU wrote, not what the BN put out."""

    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
        self.conv2, self.fc = nn.Conv2d(8, 8, 1), nn.Linear(8, 10)

    def forward(self, x):
        x = self.bn(self.conv(x))
        y = self.conv2(F.relu(x, inplace=True))
        return self.fc((x + y).mean((2, 3)))


class Concatenated(nn.Module):
    def __init__(self, share=1.0):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(3, 8, 1)
        self.mix, self.fc = nn.Conv2d(16, 8, 1), nn.Linear(8, 10)
        with torch.no_grad():
            self.a.weight *= share
            self.mix.weight[:, :8] /= share

    def forward(self, x):
        joined = torch.cat([self.a(x).relu(), self.b(x).relu()], 1)
        return self.fc(self.mix(joined).relu().mean((2, 3)))


class Gated(nn.Module):
    """Squeeze and excitation: each channel times a number of its own."""

    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
        self.down, self.up = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)
        self.fc = nn.Linear(8, 10)

    def forward(self, x):
        x = F.relu(self.bn(self.conv(x)))
        gate = self.down(F.adaptive_avg_pool2d(x, 1)).relu()
        x = x * self.up(gate).sigmoid()
        return self.fc(F.avg_pool2d(x, x.shape[-1]).flatten(1))


class Bodies1d(nn.Module):
    """1-d convolutions over the rows of an image, one of them transposed."""

    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv1d(48, 8, 5, 2, 2), nn.BatchNorm1d(8)
        self.up = nn.ConvTranspose1d(8, 6, 4, 2, 1, groups=2)
        self.fc = nn.Linear(6 * 8, 10)

    def forward(self, x):
        x = self.bn(self.conv(x.flatten(1, 2))).relu()
        return self.fc(F.max_pool1d(self.up(x), 2).flatten(1))


class Rows(nn.Module):
    """A linear layer of every position, as ConvNeXt has it, and a scale."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 4, 4), nn.LayerNorm(8)
        self.up, self.down = nn.Linear(8, 16), nn.Linear(16, 8)
        self.scale = nn.Parameter(torch.rand(8, 1, 1) + 0.5)
        self.fc = nn.Linear(8, 10)

    def forward(self, x):
        x = self.conv(x)
        y = self.norm(x.permute(0, 2, 3, 1))
        y = self.down(F.gelu(self.up(y))).permute(0, 3, 1, 2)
        return self.fc((x + self.scale * y).mean((-1, -2)))


class NormBehind(nn.Module):
    """BN of a sum or a concatenation, in front of a padded convolution."""

    def __init__(self, join, width):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(3, 8, 1)
        self.join, self.bn = join, nn.BatchNorm2d(width)
        self.mix = nn.Conv2d(width, width, 3, padding=1)
        self.fc = nn.Linear(width, 10)
        with torch.no_grad():
            self.bn.weight.uniform_(-2, 2)
            self.bn.bias.normal_()

    def forward(self, x):
        x = self.bn(self.join(self.a(x).relu(), self.b(x)))
        return self.fc(self.mix(x.relu()).mean((2, 3)))


class SharedLinear(nn.Module):
    """One linear layer used twice, BN behind the first use only."""

    def __init__(self):
        super().__init__()
        self.conv, self.shared = nn.Conv2d(3, 8, 3, 2), nn.Linear(8, 8)
        self.bn, self.fc = nn.BatchNorm1d(8), nn.Linear(8, 10)

    def forward(self, x):
        x = self.conv(x).relu().mean((2, 3))
        x = self.shared(self.bn(self.shared(x)).relu())
        return self.fc(x.relu())


class TiedWeights(nn.Module):
    """A transposed convolution by the weights of a convolution."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, 2, padding=1)
        self.up = nn.ConvTranspose2d(8, 3, 3, 2, 1, 1)
        self.up.weight, self.fc = self.conv.weight, nn.Linear(48, 10)

    def forward(self, x):
        x = self.up(self.conv(x).relu())
        return self.fc(F.adaptive_avg_pool2d(x, 4).flatten(1))


class Repeated(nn.Module):
    """A branch that is computed twice, and a block that runs three times.

    The parts have names that other tools take, and one is never used.
    """

    def __init__(self):
        super().__init__()
        self.idle, self.fc = nn.Linear(7, 3), nn.Linear(8, 10)
        self.bn, self.stem = nn.BatchNorm2d(8), nn.Conv2d(3, 8, 3, padding=1)
        self.blocks = nn.Sequential(
            nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()
        )

    def branch(self, x):
        return self.bn(self.stem(x)).relu()

    def forward(self, x):
        y = self.branch(x)
        for _ in range(3):
            y = self.blocks(y)
        return self.fc((y + self.branch(x)).mean((2, 3)))


class Signal(nn.Module):
    """1-d: grouped, dilated, transposed with output padding, pooled."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv1d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm1d(8)),
            *(nn.ReLU6(), nn.Conv1d(8, 8, 3, 1, 2, 2, 8), nn.BatchNorm1d(8)),
            *(nn.Hardswish(), nn.MaxPool1d(3, 2, 1)),
            nn.ConvTranspose1d(8, 4, 5, 3, 1, 2, dilation=2),
            *(nn.AvgPool1d(4, 3, 1), nn.AdaptiveAvgPool1d(7)),
        )
        self.fc = nn.Linear(28, 10)

    def forward(self, x):
        return self.fc(self.body(x.flatten(2)).flatten(1))


class Ends(nn.Module):
    """What the network returns is read inside of it, and by a function."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 8, 3, 2), nn.Linear(392, 10)

    def forward(self, x):
        x = F.dropout2d(self.conv(x).relu(), 0.5, self.training)
        x = self.fc(x.permute(0, 2, 3, 1).flatten(1))
        return F.log_softmax(x + x.relu(), 1)


def negative_maxima():
    """Padding of a maximum is no zero."""
    network = Body(nn.MaxPool2d(5, 4, 2))
    with torch.no_grad():
        network.bn.bias.fill_(-3.0)
    return network


def large_channel():
    """One channel a thousand times larger than others, one dead."""
    depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
    with torch.no_grad():
        depthwise.weight[0] *= 1000
        depthwise.weight[5] = 0.0
    return Body(
        nn.Sequential(nn.ReLU6(), depthwise, nn.BatchNorm2d(8), nn.ReLU())
    )


def small_numbers():
    """Results of 1e-9 between a first and a last layer that undo it."""
    network = Body(nn.Sequential(nn.Conv2d(8, 8, 3), nn.ReLU()))
    with torch.no_grad():
        network.bn.weight.mul_(1e-9)
        network.middle[0].bias.mul_(1e-9)
        network.fc.weight.mul_(1e9)
    return network


def small_logits():
    network = Body()
    with torch.no_grad():
        network.fc.weight.mul_(1e-8)
        network.fc.bias.mul_(1e-8)
    return network


def small_variance():
    network = norms(eps=1e-3)()
    network.middle[0].register_forward_hook(_to_small_variance)
    return network


def _to_small_variance(norm, given, result):
    norm.running_var[6] = 1e-12


def shuffled(x):
    count, channels, high, wide = x.shape
    x = x.view(count, 2, channels // 2, high, wide).transpose(1, 2)
    return x.contiguous().view(count, channels, high, wide)


def rectified_chunk(x):
    first, second = x.chunk(2, 1)
    return torch.cat([first.relu_(), second], 1)


class Names(nn.Module):
    """Parts and tensors named as what a quantizer writes beside them."""

    def __init__(self):
        super().__init__()
        self.codes, self.scale = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 1)
        self.scale.add_module("codes", nn.PReLU(8))
        self.register_buffer("add", torch.rand(8, 9, 9))
        self.register_buffer("zero_point", torch.rand(8, 1, 1))
        self.logits, self.images = nn.Linear(8, 10), nn.Tanh()
        self.input = nn.ReLU()

    def forward(self, x):
        x = self.input(self.codes(self.images(x)))[:, :, 2:-3, 2:-3]
        x = self.scale.codes(self.scale(x)) + self.add - self.zero_point
        return self.logits((x + x).mean((2, 3)))


def norms(**options):
    def make():
        network = Body(nn.Sequential(nn.BatchNorm2d(8, **options), nn.ReLU()))
        network.bn = nn.Identity()
        bn = network.middle[0]
        if bn.affine:
            with torch.no_grad():
                gains = [1, -1, 0, -0.5, 2, -2, 1e-3, 1]
                bn.weight.copy_(torch.tensor(gains))
                bn.bias.uniform_(-1, 1)
        return network

    return make


def dead_channels():
    """Zero and tiny weights, zero gain, and biases that stand alone."""
    network = Body(nn.ReLU())
    with torch.no_grad():
        network.conv.weight[0] = 0.0
        network.conv.weight[1] = 1e-20
        network.bn.weight[2] = 0.0
        network.bn.bias[:3] = torch.tensor([5.0, -0.5, 0.25])
    return network


def linear_norm():
    return nn.Sequential(
        *(nn.Flatten(), nn.Linear(3 * 256, 32, bias=False)),
        *(nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.5)),
        *(nn.BatchNorm1d(32), nn.Linear(32, 10)),
    )


def half_padding(mode):
    return conv(8, 8, 5, padding=2, padding_mode=mode)


TRAPS = {
    "one ReLU object, used twice": OneReLU,
    "one convolution, two BNs": lambda: SharedConvolution(True),
    "one convolution, BN on one path": lambda: SharedConvolution(False),
    "one weight, two unlike layers": SharedWeight,
    "sum, its addend read before a ReLU": lambda: Residual(torch.add),
    "sum, ReLU behind it": lambda: Residual(lambda x, y: (x + y).relu_()),
    "sum in place": lambda: Residual(lambda x, y: y.add_(x)),
    "sum with itself": lambda: Residual(lambda x, y: y + y + x + x),
    "difference": lambda: Residual(lambda x, y: x - y),
    "weighted sum": lambda: Residual(lambda x, y: torch.add(x, y, alpha=0.3)),
    "product": lambda: Residual(lambda x, y: x * y),
    "sum with a broadcast mean": lambda: Residual(
        lambda x, y: x + y.mean((2, 3), keepdim=True)
    ),
    "the input itself": InputAgain,
    "in-place ReLU, second reader": InPlaceSecondReader,
    "concatenation": Concatenated,
    "concatenation of unlike ranges": lambda: Concatenated(50.0),
    "gate": Gated,
    "BN behind a sum": lambda: NormBehind(torch.add, 8),
    "BN behind a concatenation": lambda: NormBehind(
        lambda a, b: torch.cat([a, b], 1), 16
    ),
    "shared linear layer": SharedLinear,
    "tied weights": TiedWeights,
    "computed twice": Repeated,
    "signal": Signal,
    "ends": Ends,
    "maxima of negative numbers": negative_maxima,
    "one large channel": large_channel,
    "small numbers inside": small_numbers,
    "small logits": small_logits,
    "names that collide": Names,
    "square by itself": call(lambda x: x * x),
    "joined with itself": call(lambda x: torch.cat([x, x], 1), 16),
    "1-d": Bodies1d,
    "rows, layer norm, scale": Rows,
    "BN with eps 1e-3, odd gains": norms(eps=1e-3),
    "BN with eps 0.5": norms(eps=0.5),
    "BN with a variance near 0": small_variance,
    "BN without parameters": norms(affine=False),
    "dead channels": dead_channels,
    "linear, BN, dropout, BN": linear_norm,
    "BN behind a ReLU": seq(
        *(nn.ReLU, lambda: nn.BatchNorm2d(8), conv(8, 8, 3, padding=1))
    ),
    "BN in front, no padding": seq(
        *(nn.ReLU, lambda: nn.BatchNorm2d(8), conv(8, 8, 3, groups=2))
    ),
    "grouped": seq(conv(8, 16, 3, groups=4), nn.ReLU6, out=16),
    "depthwise, stride 2": seq(conv(8, 8, 3, 2, 1, groups=8), nn.ReLU6),
    "dilated, oblong": seq(conv(8, 8, (3, 5), (1, 2), (2, 0), (2, 1))),
    "padding same, even kernel": seq(conv(8, 8, 4, padding="same")),
    "transposed": seq(lambda: nn.ConvTranspose2d(8, 8, 3, 2, 1, 1, 2)),
    "transposed, dilated": seq(
        lambda: nn.ConvTranspose2d(8, 8, 3, 2, 4, 1, 2, dilation=2),
        lambda: nn.BatchNorm2d(8),
        nn.ReLU,
    ),
    "reflect": seq(half_padding("reflect"), nn.ReLU),
    "replicate": seq(half_padding("replicate"), nn.ReLU),
    "circular": seq(half_padding("circular"), nn.ReLU),
    "zeros around": call(lambda x: F.pad(x, (1, 2, 3, 0))),
    "PReLU": seq(lambda: nn.PReLU(8)),
    "LeakyReLU": seq(lambda: nn.LeakyReLU(0.1)),
    "ELU": seq(nn.ELU),
    "SiLU": seq(nn.SiLU),
    "GELU": seq(nn.GELU),
    "GELU by tanh": seq(lambda: nn.GELU("tanh")),
    "Hardswish": seq(nn.Hardswish),
    "Hardsigmoid": seq(nn.Hardsigmoid),
    "Mish": seq(nn.Mish),
    "Softplus": seq(nn.Softplus),
    "softmax of channels": seq(lambda: nn.Softmax(1)),
    "GroupNorm": seq(lambda: nn.GroupNorm(2, 8)),
    "InstanceNorm": seq(lambda: nn.InstanceNorm2d(8, affine=True)),
    "SELU": seq(nn.SELU),
    "square": call(lambda x: x**2),
    "maxima, adaptive": seq(lambda: nn.AdaptiveMaxPool2d(4)),
    "sum of rows": call(lambda x: x.sum(2, keepdim=True) / 16),
    "stacked": call(
        lambda x: torch.stack([x, x.relu()], 2).flatten(1, 2), 16
    ),
    "Hardtanh": seq(nn.Hardtanh),
    "clamp to an odd interval": call(lambda x: x.clamp(-0.7, 1.3)),
    "clip away from zero": call(lambda x: x.clamp(0.5, 1.5)),
    "clamp from above": call(lambda x: torch.clamp(x, max=1.0)),
    "swish written out": call(lambda x: x * F.relu6(x + 3) / 6),
    "pooling before ReLU": call(lambda x: F.max_pool2d(x, 2).relu()),
    "maxima, size rounded up": seq(
        nn.ReLU, lambda: nn.MaxPool2d(3, 2, ceil_mode=True)
    ),
    "maxima, dilated, size rounded up": seq(
        lambda: nn.MaxPool2d(3, 3, 1, 2, ceil_mode=True)
    ),
    "a layer alone": lambda: nn.Conv2d(3, 10, 16),
    "maxima, padded and dilated": seq(lambda: nn.MaxPool2d(3, 2, 1, 2)),
    "means": seq(nn.ReLU, lambda: nn.AvgPool2d(2)),
    "means with padding": seq(nn.ReLU, lambda: nn.AvgPool2d(3, 2, 1)),
    "means without padding": seq(
        lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False)
    ),
    "means, size rounded up": seq(lambda: nn.AvgPool2d(3, 2, ceil_mode=True)),
    "means by another divisor": seq(
        lambda: nn.AvgPool2d(2, divisor_override=3)
    ),
    "uneven adaptive means": seq(lambda: nn.AdaptiveAvgPool2d((5, 3))),
    "means of rows": call(lambda x: x.mean(3, keepdim=True)),
    "nearest upsampling": seq(lambda: nn.Upsample(scale_factor=1.5)),
    "channel shuffle": seq(lambda: nn.ChannelShuffle(4)),
    "pixel shuffle": seq(lambda: nn.PixelShuffle(2), out=2),
    "halves swapped": call(lambda x: torch.cat(x.chunk(2, 1)[::-1], 1)),
    "every other column": call(lambda x: x[..., 1::2]),
    "flipped": call(lambda x: x.flip(2, 3)),
    "a row taken out": call(lambda x: x[:, :, 3][:, :, None]),
    "normalized inside": call(lambda x: (x - 0.4) / 0.2),
    "odd padding, dilated groups": seq(
        lambda: nn.ZeroPad2d((2, 0, 1, 3)),
        conv(8, 8, 3, dilation=2, groups=4),
    ),
    "cropped by padding": call(lambda x: F.pad(x, (-1, -2, 0, -3))),
    "transposed, output padding": seq(
        lambda: nn.ConvTranspose2d(8, 8, (3, 2), (3, 2), (1, 0), (2, 1), 4)
    ),
    "shuffle by views": call(shuffled),
    "in place on a part": call(rectified_chunk),
    "resized down": call(lambda x: F.interpolate(x, size=(5, 7))),
    "resized by area": call(
        lambda x: F.interpolate(x, size=(5, 5), mode="area")
    ),
    "negative slope": seq(lambda: nn.LeakyReLU(-0.5)),
    "two clamps": call(lambda x: x.clamp(-1, 0.5).clamp(-0.3, 2)),
    "scaled by place": call(lambda x: x * torch.linspace(0.0, 1, 16)),
    "largest of all": call(lambda x: x.amax((2, 3), keepdim=True)),
    "rolled and reordered": call(
        lambda x: torch.roll(x, (3, -1), (3, 2))[:, [3, 1, 0, 2, 7, 6, 5, 4]]
    ),
    "selected, moved": call(
        lambda x: (
            x.index_select(1, torch.tensor([0, 0, 2, 3, 4, 5, 6, 7]))
            .movedim(1, 3)
            .movedim((3, 1), (1, 2))
        )
    ),
    "pixels to channels": seq(lambda: nn.PixelUnshuffle(2), out=32),
    "divided by": call(lambda x: x / (x.relu() + 0.5).rsqrt()),
    "one divided by": call(lambda x: 1 / (x.relu() + 0.5)),
}
