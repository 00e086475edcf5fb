"""A small network of everything that a quantized network holds."""

import torch
from torch import nn

# (mean, std) of pixels in [0, 1], as trained networks take them.
NORMALIZATIONS = [
    (0.5, 0.5),
    (0.0, 1.0),
    (0.1307, 0.3081),
    ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
]


class Small(nn.Module):
    """Everything that a quantized network holds, in a few hundred weights."""

    def __init__(self, channels=3):
        super().__init__()
        self.conv = nn.Conv2d(channels, 8, 3, 2, 1, bias=False)
        self.bn, self.wide = nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, padding=1)
        self.act, self.pool = nn.SiLU(), nn.AdaptiveAvgPool2d(3)
        self.fc = nn.Linear(72, 10)

    def forward(self, x):
        x = self.bn(self.conv(x)).relu()
        x = x + self.act(self.wide(x))
        return self.fc(self.pool(x).flatten(1))


def small(channels=3):
    with torch.random.fork_rng():
        torch.manual_seed(4)
        network = Small(channels)
        network.bn.running_mean.normal_(0, 0.1)
        network.bn.running_var.uniform_(0.1, 0.5)
    return network.eval()


def pixels_of(*shape):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(
        0, 256, shape, dtype=torch.uint8, generator=generator
    )
