"""A small residual network: MLPerf Tiny's image classification model."""

from torch import Tensor, nn


class Residual(nn.Module):
    """Two 3x3 convolutions with BN, added to their input.

    Where the shape changes, a 1x1 convolution without BN changes the
    input's, as in MLPerf Tiny (https://github.com/mlcommons/tiny).
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(
            channels_in, channels_out, 3, stride, padding=1, bias=False
        )
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(
            channels_out, channels_out, 3, padding=1, bias=False
        )
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.shortcut = (
            nn.Identity()
            if (channels_in, stride) == (channels_out, 1)
            else nn.Conv2d(channels_in, channels_out, 1, stride, bias=False)
        )
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Float32 (N, C_in, H, W) to (N, C_out, H / stride, W / stride)."""
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.relu2(y + self.shortcut(x))


class ResNet8(nn.Module):
    """MLPerf Tiny's ResNet-8, without biases in front of BN.

    78 thousand parameters, 12.5 million multiply-accumulates. Takes float32
    (N, 3, 32, 32); returns logits (N, 10).
    """

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        self.stack1 = Residual(16, 16, stride=1)
        self.stack2 = Residual(16, 32, stride=2)
        self.stack3 = Residual(32, 64, stride=2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, float32 (N, 10), of images ``x``, float32 (N, 3, 32, 32).

        Torch raises RuntimeError where the shape does not fit.
        """
        x = self.relu(self.bn(self.conv(x)))
        x = self.stack3(self.stack2(self.stack1(x)))
        return self.fc(self.pool(x).flatten(1))
