"""What every chapter starts from: data, network, draws and folders."""

import ast
import itertools
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from ptq import paths
from ptq.data import cifar10, image_sets
from ptq.engines import eager_settings, torch_eager
from ptq.experiment import (
    factors,
    parameters,
    results,
    run_times,
    source_hash,
    strategies,
)
from ptq.experiment.parameters import DEFAULTS
from ptq.measure import host, inference, resources, timer
from ptq.networks import compact_cnn, recipes, training

# The chapters' network; its layers are those of the strategies.
NETWORK = "compact_cnn"


@dataclass(frozen=True)
class Experiment:
    """One chapter's laboratory.

    ``network`` is the trained float network, ``row`` its row in the table
    of networks, and ``card`` tells how it was made. ``test_images`` and
    ``validation_images`` are uint8 (N, C, H, W); ``calibration`` is
    normalized float32 of that shape.
    """

    settings: dict
    cifar: cifar10.Cifar10
    run_folder: Path
    network: nn.Module
    row: recipes.Network
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

    def normalize(self, images: Tensor) -> Tensor:
        """float32 of uint8 pixels (N, C, H, W), as the network takes them.

        Errors are those of ``image_sets.normalize``.
        """
        return self.row.normalize(images)

    def logits(self, network: nn.Module, images: Tensor) -> Tensor:
        """Outputs, float32 (N, classes), for uint8 images (N, C, H, W).

        Errors are those of ``inference.logits``.
        """
        return inference.logits(network, images, self.row.normalization)

    def build(self, name: str) -> nn.Module:
        """The strategy's network, from the draw of calibration images."""
        return strategies.build(name, self.network, self.calibration)

    def measure(self, name: str) -> results.Record:
        """Build, save, load again and evaluate a strategy; keep the record.

        The predictions are those of the network read back from the file.
        Raises UnknownNameError where there is no such strategy, RuntimeError
        where the file loads as a network with other outputs.
        """
        built = self.build(name)
        path = self._path(name)
        torch_eager.save_state(built, path)
        # The strategy's structure, with nothing of the trained network.
        fresh = recipes.untrained(NETWORK, 0)
        blank = strategies.build(name, fresh, torch.zeros(1, *self.row.shape))
        loaded = torch_eager.load_state(blank, path)
        few = self.test_images[:100]
        if not torch.equal(self.logits(built, few), self.logits(loaded, few)):
            raise RuntimeError(f"{path} loads as another network")
        bits = strategies.get(name).bits
        return self.evaluate(name, loaded, bits, {})

    def evaluate(
        self, name: str, network: nn.Module, bits: dict, levels: dict
    ) -> results.Record:
        """Save a network, evaluate it on the test images, keep the record.

        ``levels`` are added to the record's settings: they tell this network
        from the chapter's others.
        """
        outputs = self.logits(network, self.test_images)
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
        record.save(self.run_folder / paths.RECORDS)
        return record

    def evaluate_variant(
        self, variant: factors.Variant, images: Tensor, **levels
    ) -> results.Record:
        """Build a variant from uint8 ``images`` and evaluate it.

        ``images`` is (N, 3, 32, 32); ``levels`` are added to the record and
        its name. Raises InputError where images are not uint8 or none,
        ValueError where they are fewer than the variant asks for.
        """
        built = factors.build(self.network, self.normalize(images), variant)
        name = "-".join([variant.name, *map(str, levels.values())])
        bits = dict.fromkeys(compact_cnn.LAYERS, 8)
        return self.evaluate(name, built, bits, asdict(variant) | levels)

    def record(self, name: str) -> results.Record:
        """The record of a strategy: from the run folder, else measured."""
        path = self.run_folder / paths.RECORDS / f"{name}.json"
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
        names = ("engine", "data_dir", "run_dir")
        places = {name: self.settings[name] for name in names}
        return _made(
            DEFAULTS | places | {"test_images": test_images},
            self.cifar,
            self.run_folder / "repeated",
            paths.checkpoint_folder(),
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
        return self.run_folder / paths.MODELS / f"{name}.pt"

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
        return source_hash.of(parts)

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
    return parameters.run_folder(given)


def open_experiment(*, retrain: bool = False, **settings) -> Experiment:
    """Check the settings, load the data, load or train the network.

    Settings are those of ``DEFAULTS``; what is left out takes its default.
    Raises ParameterError, DataError or CheckpointError, saying what to do.
    """
    parameters.check(
        settings | {"retrain": retrain},
        DEFAULTS | {"retrain": False},
    )
    settings = DEFAULTS | settings
    cifar = cifar10.load(settings["data_dir"])
    folder = parameters.run_folder(settings)
    return _made(settings, cifar, folder, folder / paths.MODELS, retrain)


def _made(
    settings: dict,
    cifar: cifar10.Cifar10,
    folder: Path,
    models: Path,
    retrain: bool = False,
) -> Experiment:
    """The laboratory of settings, with the network that ``models`` has."""
    recipe = recipes.of(NETWORK, settings["train_seed"], settings["epochs"])
    network, card = training.trained(recipe, cifar, models, retrain)
    row, count = recipes.get(recipe.network), settings["test_images"]
    _, validation = image_sets.split(recipe.seed)
    drawn = factors.draw_images(
        cifar,
        "training",
        settings["calibration_images"],
        settings["seed"],
        recipe.seed,
    )
    return Experiment(
        settings=settings,
        run_folder=folder,
        cifar=cifar,
        network=network,
        row=row,
        card=card,
        engine=eager_settings.select(settings["engine"]),
        calibration=row.normalize(drawn),
        validation_images=cifar.train_images[validation],
        validation_labels=cifar.train_labels[validation],
        test_images=cifar.test_images[:count],
        test_labels=cifar.test_labels[:count],
    )
