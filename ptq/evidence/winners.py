"""How far the best of several equally good networks seems ahead."""

import numpy as np

from ptq.evidence import checks


def best_of_equals(
    changes: np.ndarray, seed: int, draws: int = 10_000
) -> np.ndarray:
    """Net gain (images) of the best of networks that are equally good.

    ``changes`` (networks, images) holds 1 where a network gains an image,
    −1 where it loses it, and 0. In each of the draws, a coin decides for
    each image, for all networks alike, whether its changes keep their signs.
    Returns the largest net gain of each draw, (draws,). InputError where
    ``changes`` holds other numbers, or no network.
    """
    changes = np.asarray(changes)
    if changes.ndim != 2 or not len(changes) or (abs(changes) > 1).any():
        raise checks.InputError(
            f"changes: shape {changes.shape}: expected a row a network of "
            "-1, 0 and 1, one an image"
        )
    moved = changes[:, changes.any(axis=0)]
    coin = np.random.default_rng(seed)
    tosses = coin.choice([-1, 1], size=(draws, moved.shape[1]))
    return (tosses @ moved.T).max(axis=1)
