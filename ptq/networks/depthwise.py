"""A network of depthwise-separable convolutions, like MobileNet."""

from torch import Tensor, nn

STEM = 32
BLOCKS = ((64, 1), (96, 2), (96, 1), (192, 2), (192, 1), (192, 1))


class Separable(nn.Sequential):
    """A 3x3 convolution a channel, then a 1x1 over channels.

    Each has BN and ReLU6, as in MobileNet (Howard et al., 2017, table 1,
    with the ReLU6 of its published code).
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int):
        super().__init__(
            nn.Conv2d(
                channels_in,
                channels_in,
                3,
                stride,
                padding=1,
                groups=channels_in,
                bias=False,
            ),
            nn.BatchNorm2d(channels_in),
            nn.ReLU6(),
            nn.Conv2d(channels_in, channels_out, 1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU6(),
        )


class Depthwise(nn.Module):
    """A convolution and six depthwise-separable blocks.

    121 thousand parameters, 13.8 million multiply-accumulates. Takes
    float32 (N, 3, 32, 32); returns logits (N, 10).
    """

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, STEM, 3, padding=1, bias=False),
            nn.BatchNorm2d(STEM),
            nn.ReLU6(),
        )
        blocks, channels = [], STEM
        for width, stride in BLOCKS:
            blocks.append(Separable(channels, width, stride))
            channels = width
        self.body = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, float32 (N, 10), of images ``x``, float32 (N, 3, 32, 32).

        Torch raises RuntimeError where the shape does not fit.
        """
        x = self.body(self.stem(x))
        return self.fc(self.pool(x).flatten(1))
