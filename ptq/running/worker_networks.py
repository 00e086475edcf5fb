"""Networks that a worker trains, each once for all of its points."""

import shutil
from pathlib import Path

import filelock
import torch

from ptq import paths
from ptq.data import cifar10
from ptq.experiment import source_hash
from ptq.measure import timer
from ptq.networks import checkpoints, recipes, training


def provide(values: dict, models: Path) -> None:
    """Put the network that a point's ``values`` name into ``models``.

    Nothing is done where it is shipped or lies there, or where the point
    asks to train it itself. Raises UnknownNameError for an unknown network,
    DataError where there is no data to train it, and OSError where a folder
    cannot be written.
    """
    network = values.get("network", "compact_cnn")
    recipe = recipes.of(network, values["train_seed"], values.get("epochs"))
    if values.get("retrain") or checkpoints.of_recipe(recipe, models):
        return
    code = source_hash.of(torch.__version__, source_hash.training_hash())
    folder = paths.REPOSITORY / "runs" / "checkpoints" / code
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / f"{recipe.name}.lock")
    with lock, timer.pinned_threads(1):
        if not checkpoints.of_recipe(recipe, folder):
            training.trained(recipe, cifar10.load(), folder)
    models.mkdir(parents=True)
    trained = folder / f"{recipe.name}.pt"
    for path in (trained, checkpoints.card_path(trained)):
        shutil.copy(path, models)
