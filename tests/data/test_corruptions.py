"""Corruptions against values worked out by hand, and what they promise."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from ptq.data import corruptions
from ptq.data.corruptions import CORRUPTIONS, STRENGTHS, corrupted
from ptq.input_checks import InputError
from ptq.registry import UnknownNameError


def photographs(count=4, channels=3):
    """Smooth images, uint8, different in each channel."""
    steps = torch.linspace(0, 6, 32)
    waves = [
        torch.sin(steps * (1 + i) + c)[:, None] * torch.cos(steps + i)
        for i in range(count)
        for c in range(channels)
    ]
    pixels = 128 + 100 * torch.stack(waves)
    return pixels.reshape(count, channels, 32, 32).byte()


def test_contrast_keeps_the_mean_of_each_channel():
    image = torch.zeros(1, 2, 1, 2, dtype=torch.uint8)
    image[0, 0, 0] = torch.tensor([0, 200])
    image[0, 1, 0] = torch.tensor([40, 40])
    found = corruptions.contrast(image, 0.5)
    assert found.tolist() == [[[[50, 150]], [[40, 40]]]]


def test_a_blurred_point_is_a_bell():
    point = torch.zeros(1, 1, 9, 9, dtype=torch.uint8)
    point[0, 0, 4, 4] = 255
    found = corruptions.blur(point, 1.0)[0, 0]
    bell = np.exp(-(np.arange(-4, 5) ** 2) / 2)
    bell /= bell.sum()
    expected = 255 * np.outer(bell, bell)
    assert np.abs(found.numpy() - expected).max() <= 0.5 + 1e-3
    flat = torch.full((1, 3, 8, 8), 77, dtype=torch.uint8)
    assert torch.equal(corruptions.blur(flat, 1.0), flat)


def test_noise_has_its_deviation_and_is_clipped():
    grey = torch.full((20, 3, 32, 32), 128, dtype=torch.uint8)
    found = corruptions.noise(grey, 0.1).double() - 128
    assert found.std() == pytest.approx(25.5, rel=0.02)
    assert abs(found.mean()) < 0.5
    assert corruptions.noise(torch.zeros_like(grey), 0.1).double().min() == 0


def test_noise_depends_on_place_and_seed_alone():
    images = photographs()
    found = corruptions.noise(images, 0.1)
    assert torch.equal(corruptions.noise(images[:2], 0.1), found[:2])
    assert not torch.equal(corruptions.noise(images, 0.1, seed=1), found)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()
    corruptions.noise(images, 0.1)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_that_of_one_image_at_a_time(channels):
    images = photographs(channels=channels)
    found = corruptions.jpeg(images, 40)
    plain = images[2].permute(1, 2, 0).numpy()
    packed = io.BytesIO()
    image = Image.fromarray(plain[:, :, 0] if channels == 1 else plain)
    image.save(packed, "JPEG", quality=40)
    read = np.asarray(Image.open(packed)).reshape(plain.shape)
    assert np.array_equal(found[2].permute(1, 2, 0).numpy(), read)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_each_strength_is_further_from_the_image(name):
    images = photographs()
    kept = images.clone()
    made = [corrupted(images, name, strength) for strength in STRENGTHS]
    assert all(
        m.dtype == torch.uint8 and m.shape == (4, 3, 32, 32) for m in made
    )
    assert torch.equal(images, kept)
    errors = [(m.double() - images).square().mean().item() for m in made]
    assert errors[0] > 0 and errors == sorted(set(errors))


@pytest.mark.parametrize("strength", [0, 6, 2.5])
def test_an_unknown_strength_is_refused(strength):
    with pytest.raises(InputError, match="expected a whole number from 1 to"):
        corrupted(photographs(), "noise", strength)


def test_bad_images_and_names_are_refused():
    with pytest.raises(UnknownNameError, match="did you mean blur"):
        corrupted(photographs(), "blu", 1)
    with pytest.raises(InputError, match="uint8"):
        corrupted(photographs().float(), "blur", 1)
    with pytest.raises(InputError, match=r"expected \(N, C, H, W\)"):
        corrupted(photographs()[0], "contrast", 1)
    with pytest.raises(InputError, match="2 channels: expected 1 or 3"):
        corrupted(photographs(channels=2), "jpeg", 1)
