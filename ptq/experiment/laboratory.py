"""What every chapter starts from: data, network, draws and folders."""

import ast
import hashlib
import itertools
import json
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from ptq import paths
from ptq.data import cifar10, image_sets
from ptq.engines import torch_eager
from ptq.experiment import (
    factors,
    parameters,
    results,
    run_times,
    source_hash,
    strategies,
)
from ptq.measure import host, inference, resources, timer
from ptq.networks import checkpoints, compact_cnn, recipes, training

DEFAULTS = {
    "seed": 42,
    "train_seed": 42,
    "epochs": 20,
    "calibration_images": 100,
    "test_images": 10_000,
    "rounds": 80,
    "threads": 1,
    "engine": "auto",
    "data_dir": "",
    "run_dir": "",
}


@dataclass(frozen=True)
class Experiment:
    """One chapter's laboratory.

    ``network`` is the trained float network and ``card`` tells how it was
    made. ``test_images`` and ``validation_images`` are uint8
    (N, 3, 32, 32); ``calibration`` is normalized float32 of that shape.
    """

    settings: dict
    cifar: cifar10.Cifar10
    run_folder: Path
    network: nn.Module
    card: dict
    engine: str
    calibration: Tensor
    validation_images: Tensor
    validation_labels: Tensor
    test_images: Tensor
    test_labels: Tensor

    @property
    def figures(self) -> Path:
        """Folder of the figures of this run; it need not exist yet."""
        return paths.figures_folder(self.run_folder)

    def build(self, name: str) -> nn.Module:
        """The strategy's network, from the draw of calibration images."""
        return strategies.build(name, self.network, self.calibration)

    def measure(self, name: str) -> results.Record:
        """Build, save, load again and evaluate a strategy; keep the record.

        The predictions are those of the network read back from the file.
        Raises KeyError where there is no such strategy, and RuntimeError
        where the file loads as a network with other outputs.
        """
        built = self.build(name)
        path = self._path(name)
        torch_eager.save_state(built, path)
        loaded = torch_eager.load_state(self._blank(name), path)
        few = self.test_images[:100]
        if not torch.equal(
            inference.logits(built, few), inference.logits(loaded, few)
        ):
            raise RuntimeError(f"{path} loads as another network")
        bits = strategies.STRATEGIES[name].bits
        return self.evaluate(name, loaded, bits, {})

    def evaluate(
        self, name: str, network: nn.Module, bits: dict, levels: dict
    ) -> results.Record:
        """Save a network, evaluate it on the test images, keep the record.

        ``levels`` are added to the record's settings: they tell this network
        from the chapter's others.
        """
        outputs = inference.logits(network, self.test_images)
        predictions = outputs.argmax(1)
        record = results.Record(
            strategy=name,
            key=self._key(name),
            bits=bits,
            correct=int((predictions == self.test_labels).sum()),
            n=len(self.test_labels),
            loss=float(functional.cross_entropy(outputs, self.test_labels)),
            file_bytes=torch_eager.save_state(network, self._path(name)),
            payload_bytes=resources.payload_bytes(network),
            engine=self.engine,
            parameters=self.settings | levels,
            machine=host.machine(),
            predictions=predictions.to(torch.uint8).numpy(),
        )
        record.save(self.run_folder / "records")
        return record

    def evaluate_variant(
        self, variant: factors.Variant, images: Tensor, **levels
    ) -> results.Record:
        """Build a variant from uint8 ``images`` and evaluate it.

        ``images`` is (N, 3, 32, 32); ``levels`` are added to the record and
        its name. Raises InputError where images are not uint8 or none,
        ValueError where they are fewer than the variant asks for.
        """
        built = factors.build(
            self.network, image_sets.normalize(images), variant
        )
        name = "-".join([variant.name, *map(str, levels.values())])
        bits = dict.fromkeys(compact_cnn.LAYERS, 8)
        return self.evaluate(name, built, bits, asdict(variant) | levels)

    def record(self, name: str) -> results.Record:
        """The record of a strategy: from the run folder, else measured."""
        path = self.run_folder / "records" / f"{name}.json"
        if path.exists():
            found = results.load_record(path)
            if found.key == self._key(name):
                return found
        return self.measure(name)

    def shipped(self, test_images: int = 10_000) -> "Experiment":
        """This laboratory with the defaults and the shipped network.

        It measures the book's reference results again; its records go into a
        folder of their own.
        """
        places = ("engine", "data_dir", "run_dir")
        settings = DEFAULTS | {name: self.settings[name] for name in places}
        recipe = recipes.Recipe(settings["train_seed"], settings["epochs"])
        network, card = trained(recipe, self.cifar, paths.checkpoint_folder())
        train, _ = image_sets.split(recipe.seed)
        count, seed = settings["calibration_images"], settings["seed"]
        drawn = image_sets.draw(train, count, seed)
        return replace(
            self,
            settings=settings | {"test_images": test_images},
            run_folder=self.run_folder / "repeated",
            network=network,
            card=card,
            calibration=image_sets.normalize(self.cifar.train_images[drawn]),
            test_images=self.cifar.test_images[:test_images],
            test_labels=self.cifar.test_labels[:test_images],
        )

    def times(
        self, batch: int = 64, threads: int = 0, mode: str = timer.HOT
    ) -> results.Timing:
        """The run's one time result of all strategies, under one condition.

        ``threads`` of 0 stands for the experiment's setting; ``mode`` is
        "hot" or "cold". Measured once a run, by the chapter that asks first.
        KeyError lists the known conditions.
        """
        return run_times.of_run(self, batch, threads, mode)

    def _path(self, name: str) -> Path:
        return self.run_folder / "models" / f"{name}.pt"

    def _blank(self, name: str) -> nn.Module:
        """The strategy's structure, with nothing of the trained network."""
        fresh = recipes.untrained("compact_cnn", 0)
        return strategies.build(name, fresh, torch.zeros(1, 3, 32, 32))

    def key(self, *settings: str, **more) -> str:
        """What a result depends on besides the data, as one short text.

        ``settings`` are the names of those it depends on.
        """
        machine = host.machine()
        parts = {
            "checkpoint": self.card["sha256"],
            "engine": self.engine,
            "science": source_hash.science_hash(),
            "torch": machine["torch"],
            "capability": machine["torch_capability"],
        }
        parts |= {name: self.settings[name] for name in settings} | more
        text = json.dumps(parts, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _key(self, name: str) -> str:
        settings = ("seed", "calibration_images", "test_images")
        return self.key(*settings, strategy=name)


def opened(notebook: dict) -> Experiment:
    """Open the experiment of a notebook, by the names it has set.

    ``notebook`` is its ``globals()``: names of ``DEFAULTS``, and
    ``retrain``, are settings; what is left out takes its default. Raises
    the errors of ``open_experiment``, and ParameterError for a name that
    papermill set and the notebook's cell of parameters does not know.
    """
    _refuse_unknown(notebook.get("In", []))
    known = [*DEFAULTS, "retrain"]
    return open_experiment(**{n: notebook[n] for n in known if n in notebook})


def _refuse_unknown(cells: list[str]) -> None:
    """The cell that papermill inserts after that of the parameters."""
    for parameters_cell, injected in itertools.pairwise(cells):
        if injected.startswith("# Parameters\n"):
            parameters.check_names(
                _assigned(injected), _assigned(parameters_cell)
            )


def _assigned(cell: str) -> list[str]:
    names = (n for n in ast.walk(ast.parse(cell)) if isinstance(n, ast.Name))
    return [name.id for name in names if isinstance(name.ctx, ast.Store)]


def folder(notebook: dict) -> Path:
    """The run folder of a notebook that opens no experiment.

    ``notebook`` is as ``opened`` takes it; its errors, too, for parameters.
    """
    _refuse_unknown(notebook.get("In", []))
    given = {n: notebook.get(n, default) for n, default in DEFAULTS.items()}
    parameters.check(given, DEFAULTS)
    return run_folder(given)


def open_experiment(*, retrain: bool = False, **settings) -> Experiment:
    """Check the settings, load the data, load or train the network.

    Settings are those of ``DEFAULTS``; what is left out takes its default.
    Raises ParameterError, DataError or CheckpointError, saying what to do.
    """
    parameters.check(
        settings | {"retrain": retrain}, DEFAULTS | {"retrain": False}
    )
    settings = DEFAULTS | settings
    engine = torch_eager.select(settings["engine"])
    cifar = cifar10.load(settings["data_dir"])
    recipe = recipes.Recipe(settings["train_seed"], settings["epochs"])
    folder = run_folder(settings)
    network, card = trained(recipe, cifar, folder / "models", retrain)
    train, validation = image_sets.split(recipe.seed)
    drawn = image_sets.draw(
        train, settings["calibration_images"], settings["seed"]
    )
    count = settings["test_images"]
    return Experiment(
        settings=settings,
        run_folder=folder,
        cifar=cifar,
        network=network,
        card=card,
        engine=engine,
        calibration=image_sets.normalize(cifar.train_images[drawn]),
        validation_images=cifar.train_images[validation],
        validation_labels=cifar.train_labels[validation],
        test_images=cifar.test_images[:count],
        test_labels=cifar.test_labels[:count],
    )


def run_folder(settings: dict) -> Path:
    """Folder of a run: the one named, else one that its settings name.

    Only the default settings lead to ``runs/book``, so that no other
    experiment overwrites the results of the book.
    """
    if settings["run_dir"]:
        return paths.run_folder(settings["run_dir"])
    changed = [
        f"{name}{settings[name]}"
        for name, default in DEFAULTS.items()
        if settings[name] != default and name != "data_dir"
    ]
    # A chapter's own, such as a network, as a folder may be called.
    changed += [
        f"{name}-{re.sub(r'[^-.a-zA-Z0-9]+', '-', value)}"
        for name, value in settings.items()
        if name not in DEFAULTS and value and isinstance(value, str)
    ]
    default = paths.run_folder()
    return default.with_name("-".join(changed)) if changed else default


def checkpoint(recipe: recipes.Recipe, folder: Path) -> Path | None:
    """The recipe's checkpoint: in ``folder``, else shipped, else none."""
    for place in (folder, paths.checkpoint_folder()):
        path = place / f"{recipe.name}.pt"
        if path.exists():
            return path
    return None


def trained(
    recipe: recipes.Recipe,
    cifar: cifar10.Cifar10,
    folder: Path,
    retrain: bool = False,
) -> tuple[nn.Module, dict]:
    """The network of a recipe: from ``folder``, shipped, or trained now."""
    found = None if retrain else checkpoint(recipe, folder)
    if found:
        network = recipes.untrained(recipe.network, recipe.seed).eval()
        return network, checkpoints.load_checkpoint(found, network)
    path = folder / f"{recipe.name}.pt"
    progress = path.with_suffix(".partial.pt")
    network, card = training.train(recipe, cifar, progress)
    outputs = inference.logits(network, cifar.test_images)
    right = outputs.argmax(1) == cifar.test_labels
    card |= {"test_correct": int(right.sum()), "test_images": len(right)}
    checkpoints.save_checkpoint(network, path, card)
    progress.unlink(missing_ok=True)
    return network, checkpoints.load_checkpoint(path, network)
