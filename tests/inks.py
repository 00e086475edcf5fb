"""How colours look to everybody: distances, contrasts, both themes."""

import itertools

import numpy as np

from ptq.book import style

NIGHT = "#121212"  # the theme's dark page
# How linear RGB looks without long, middle or short cones: Machado, Oliveira
# and Fernandes (2009), severity 1.
BLINDNESS = {
    "none": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
TO_XYZ = np.array(
    [
        [0.4124, 0.3576, 0.1805],
        [0.2126, 0.7152, 0.0722],
        [0.0193, 0.1192, 0.9505],
    ]
)


def linear(colour):
    parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(
        parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4
    )


def lab(colour, blindness="none"):
    """CIELAB (L*, a*, b*) of a colour as somebody sees it."""
    seen = np.clip(np.array(BLINDNESS[blindness]) @ linear(colour), 0, 1)
    xyz = TO_XYZ @ seen / [0.9505, 1, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array(
        [116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])]
    )


def contrast(one, other):
    """WCAG's contrast of two colours, 1 to 21."""
    light = sorted((TO_XYZ @ linear(c))[1] for c in (one, other))
    return (light[1] + 0.05) / (light[0] + 0.05)


THEMES = {
    "light": (style.PAPER, lambda colour: colour),
    "dark": (NIGHT, lambda colour: style.DARK[colour]),
}


def closest(colours, blindness="none"):
    """How far the two closest of these are apart, and their names."""
    seen = {name: lab(c, blindness) for name, c in colours.items()}
    return min(
        (np.linalg.norm(seen[a] - seen[b]), a, b)
        for a, b in itertools.combinations(seen, 2)
    )
