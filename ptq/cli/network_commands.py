"""Commands for data and networks: fetch, train."""

import click

from ptq.cli import error_messages


@click.command()
@click.option("--folder", default="", help="Default: notebooks/data.")
def data(folder):
    """Fetch CIFAR-10 once and verify it."""
    from ptq import paths
    from ptq.data import cifar10

    with error_messages.told(cifar10.DataError):
        cifar = cifar10.load(folder)
    click.echo(
        f"CIFAR-10 verified: {len(cifar.train_labels):,} training and "
        f"{len(cifar.test_labels):,} test images in "
        f"{paths.data_folder(folder)}"
    )


@click.command()
@click.option("--seed", default=42, show_default=True)
@click.option("--epochs", type=int, help="Default: the recipe's.")
@click.option(
    "--network", default="compact_cnn", help="A name in ptq.networks.recipes."
)
@click.option("--run-dir", default="", help="Default: below runs/.")
@click.option("--data-dir", default="", help="Default: notebooks/data.")
def train(seed, epochs, network, run_dir, data_dir):
    """Train from scratch; an interrupted training continues."""
    from ptq import data as data_sets
    from ptq import paths, registry
    from ptq.data import cifar10
    from ptq.experiment import parameters
    from ptq.networks import recipes, training
    from ptq.running import locks

    with error_messages.told(
        parameters.ParameterError,
        cifar10.DataError,
        locks.LockedError,
        registry.UnknownNameError,
    ) as told:
        recipe = recipes.of(network, seed, epochs)
        given = {"train_seed": seed, "epochs": recipe.epochs}
        parameters.check(given, parameters.DEFAULTS)
        settings = parameters.DEFAULTS | given | {"run_dir": run_dir}
        told.folder = parameters.run_folder(settings)
        folder = told.folder / paths.MODELS
        images = data_sets.get(recipes.get(network).data_set)
        with locks.folder(told.folder):
            loaded = images.load(data_dir)
            _, card = training.trained(recipe, loaded, folder, retrain=True)
    click.echo(
        f"{card['test_correct']:,} of {card['test_images']:,} test images "
        f"right; see {folder / recipe.name}.pt and .json"
    )
