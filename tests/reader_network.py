"""A network of twenty lines, trained on scikit-learn's digits."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

CODE = """
from torch import nn

normalization = (0.5, 0.5)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(8)
        self.again = nn.Conv2d(8, 8, 3, padding=1)
        self.fc = nn.Linear(128, 10)

    def forward(self, x):
        x = self.bn(self.conv(x)).relu()
        x = (x + self.again(x)).relu()
        return self.fc(nn.functional.max_pool2d(x, 2).flatten(1))


def make():
    return Net()
"""
TRAINING = 700


@pytest.fixture(scope="session")
def digits():
    """1,797 images of digits, uint8 (N, 8, 8), and labels."""
    found = load_digits()
    pixels = np.round(found.images * 255 / 16).astype(np.uint8)
    return SimpleNamespace(pixels=pixels, labels=found.target)


@pytest.fixture(scope="session")
def net(digits, tmp_path_factory):
    """A trained network, its code, checkpoint and images as files."""
    folder = tmp_path_factory.mktemp("net")
    (folder / "net.py").write_text(CODE)
    names = {}
    exec(CODE, names)
    pixels = torch.from_numpy(digits.pixels[:TRAINING, None])
    images, labels = pixels / 127.5 - 1, torch.from_numpy(digits.labels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = names["make"]().train()
        optimizer = torch.optim.Adam(made.parameters(), 5e-3)
        for _ in range(5):
            for batch in torch.randperm(TRAINING).split(50):
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(
                    made(images[batch]), labels[batch]
                )
                loss.backward()
                optimizer.step()
    torch.save(made.state_dict(), folder / "w.pt")
    rest = slice(TRAINING, None)
    np.savez(
        folder / "images.npz",
        images=digits.pixels[rest],
        labels=digits.labels[rest],
    )
    return SimpleNamespace(
        network=made.eval(),
        folder=folder,
        calibration=digits.pixels[:64],
        test=digits.pixels[rest],
        labels=digits.labels[rest],
    )


@pytest.fixture
def here(net, tmp_path, monkeypatch):
    """The current folder, as the commands' examples have it."""
    for name in ("net.py", "w.pt", "images.npz"):
        shutil.copy(net.folder / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path
