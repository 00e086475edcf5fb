"""The published network: two convolutions, two linear layers."""

from torch import Tensor, nn


class CompactCNN(nn.Module):
    """The published network: two convolutions with BN, two linear layers.

    Takes float32 (N, 3, 32, 32) in [-1, 1]; returns logits (N, 10).
    ``blocks`` lists what may be folded and fused: (convolution, BN, ReLU);
    ``normalized`` are the ends of its normalized pixels.
    """

    normalized = (-1.0, 1.0)
    blocks = (("conv1", "bn1", "relu1"), ("conv2", "bn2", "relu2"))

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(64)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(64 * 8 * 8, 128)
        self.relu3 = nn.ReLU()
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, float32 (N, 10), of images ``x``, float32 (N, 3, 32, 32).

        Torch raises RuntimeError where the shape does not fit.
        """
        x = self.pool1(self.relu1(self.bn1(self.conv1(x))))
        x = self.pool2(self.relu2(self.bn2(self.conv2(x))))
        x = self.relu3(self.fc1(x.flatten(1)))
        return self.fc2(x)


# Each layer, with the modules that stay in float if it does; after folding,
# BN and a fused ReLU are identities.
BLOCKS = {
    "conv1": ("conv1", "bn1", "relu1"),
    "conv2": ("conv2", "bn2", "relu2"),
    "fc1": ("fc1", "relu3"),
    "fc2": ("fc2",),
}
LAYERS = tuple(BLOCKS)
