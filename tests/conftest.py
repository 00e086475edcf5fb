"""The real data, the shipped network, and generated images."""

import os

import pytest
import torch

from ptq import (
    data,
    engines,
    folding,
    networks,
    paths,
    strategies,
    training,
)


@pytest.fixture(scope="session")
def cifar():
    try:
        return data.load()
    except data.DataError as error:
        pytest.skip(f"needs CIFAR-10: {error}")


@pytest.fixture(scope="session")
def network():
    """The shipped network; a test that changes it must copy it."""
    loaded = networks.CompactCNN().eval()
    name = f"{training.Recipe().name}.pt"
    networks.load_checkpoint(paths.checkpoint_folder() / name, loaded)
    return loaded


@pytest.fixture(scope="session")
def pixels():
    """Generated pictures, uint8: patches, as noise has no large outputs."""
    generator = torch.Generator().manual_seed(7)
    patches = torch.randint(
        0, 256, (64, 3, 4, 4), dtype=torch.uint8, generator=generator
    )
    return patches.repeat_interleave(8, 2).repeat_interleave(8, 3)


@pytest.fixture(scope="session")
def images(pixels):
    """The generated pictures as the network takes them."""
    return data.normalize(pixels)


@pytest.fixture(scope="session")
def folded_float(network):
    return folding.fold(network)


@pytest.fixture(scope="session")
def quantized(network, images):
    engines.select()
    return strategies.folded(network, images)


@pytest.fixture(autouse=True)
def _preferred_engine():
    # The engine is a global of torch: no test may inherit another's.
    engines.select()


@pytest.fixture
def npm(tmp_path_factory, monkeypatch):
    """A script in place of the npm client; at first it packs rubbish."""
    folder = tmp_path_factory.mktemp("bin")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def write(body):
        """Let it run ``body``; $package and $folder are what it is given."""
        (folder / "npm").write_text(
            f"#!/bin/sh\npackage=$2 folder=$4\n{body}\n"
        )
        (folder / "npm").chmod(0o755)

    write('echo rubbish > "$folder/$(echo $package | tr @ -).tgz"')
    return write
