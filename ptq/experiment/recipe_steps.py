"""The trainings of ``recipes.csv``: one step of the recipe after another."""

import pandas as pd

from ptq import paths
from ptq.experiment import committed_sweeps

TABLE = paths.REFERENCE / "recipes.csv"
PUBLISHED = "published"
# Each step keeps what the steps before it changed.
STEPS = {
    PUBLISHED: {"optimizer": "adam", "augmentation": "none"},
    "crop and flip": {"optimizer": "adam", "augmentation": "crop and flip"},
    "SGD, one cycle": {"optimizer": "sgd", "weight_decay": 0.0},
    "weight decay": {"optimizer": "sgd", "weight_decay": 5e-4, "epochs": 20},
    "60 epochs": {"epochs": 60, "learning_rate": 0.1},
}
NETWORKS = ("compact_cnn", "compact_cnn_tuned")


def load() -> pd.DataFrame:
    """Every training, a row each: recipe, seed, accuracies as shares.

    ``accuracy`` is that of all test images. ReferenceError where the file
    is missing or damaged.
    """
    try:
        frame = pd.read_csv(TABLE)
        return frame.assign(accuracy=frame.test_correct / frame.test_images)
    except (OSError, ValueError, AttributeError) as error:
        raise committed_sweeps.ReferenceError(
            f"{TABLE}: {error!r}; it is committed with the book"
        ) from error


def by_step(frame: pd.DataFrame) -> pd.DataFrame:
    """Accuracy (a share) of the compact network: a row a seed, a column a
    step of ``STEPS``.

    ``frame`` is that of ``load``. ValueError where a step lacks a seed or
    has two trainings of one.
    """
    compact = frame[frame.network.isin(NETWORKS)]
    columns = {}
    for name, wanted in STEPS.items():
        fits = (compact[list(wanted)] == pd.Series(wanted)).all(axis=1)
        columns[name] = compact[fits].set_index("seed").accuracy
        if columns[name].index.duplicated().any():
            raise ValueError(f"{name}: two trainings of one seed")
    table = pd.DataFrame(columns)
    if table.isna().any(axis=None):
        raise ValueError("expected every step at every seed")
    return table
