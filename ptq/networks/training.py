"""Train a network by a named recipe, with history, resumably."""

import sys
import time
import warnings
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from ptq import paths
from ptq.data import cifar10, image_sets
from ptq.measure import inference
from ptq.networks import checkpoints, recipes
from ptq.networks.recipes import Recipe


def device() -> torch.device:
    """The fastest device torch has here: CUDA, Apple's MPS, or the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def train(
    recipe: Recipe, cifar: cifar10.Cifar10, progress_file: Path
) -> tuple[nn.Module, dict]:
    """Train and return the network (on the CPU, eval mode) and its card.

    After each epoch the state goes to ``progress_file``; a later call with
    the same recipe goes on from there, to the same result.
    """
    where = device()
    network = recipes.untrained(recipe.network, recipe.seed).to(
        where, memory_format=torch.channels_last
    )
    optimizer = _optimizer(network, recipe)
    history, seconds = _resume(progress_file, recipe, network, optimizer)
    size = len(cifar.train_labels)
    shown, asked = image_sets.split(recipe.seed, size)
    shown = shown[: recipe.train_images]
    train_set = cifar.train_images[shown].to(where), cifar.train_labels[shown]
    validation_set = cifar.train_images[asked], cifar.train_labels[asked]
    row = recipes.get(recipe.network)
    for epoch in range(len(history), recipe.epochs):
        started = time.time()
        loss, accuracy = _one_epoch(
            network, optimizer, train_set, recipe, epoch
        )
        found = {"train_loss": loss, "train_accuracy": accuracy}
        found |= evaluate(network, *validation_set, row.normalization)
        history.append(found)
        seconds += time.time() - started
        state = {
            "recipe": asdict(recipe),
            "network": network.state_dict(),
            "optimizer": optimizer.state_dict(),
            "history": history,
            "seconds": seconds,
        }
        with paths.whole_file(progress_file) as temporary:
            torch.save(state, temporary)
    network = network.to("cpu", memory_format=torch.contiguous_format)
    return network.eval(), _card(recipe, history, seconds, where)


def _card(recipe, history, seconds, where) -> dict:
    """How the network came about, to lie beside its checkpoint."""
    return {
        "network": recipe.network,
        "recipe": asdict(recipe),
        "history": history,
        "device": _device_name(where),
        "threads": torch.get_num_threads(),
        "seconds": round(seconds),
        "versions": {"torch": torch.__version__},
        "python": sys.version.split()[0],
    }


def trained(
    recipe: Recipe,
    cifar: cifar10.Cifar10,
    folder: Path,
    retrain: bool = False,
) -> tuple[nn.Module, dict]:
    """The network of a recipe: from ``folder``, shipped, or trained now."""
    found = None if retrain else checkpoints.of_recipe(recipe, folder)
    if found:
        network = recipes.untrained(recipe.network, recipe.seed).eval()
        return network, checkpoints.load_checkpoint(found, network)
    path = folder / f"{recipe.name}.pt"
    progress = path.with_suffix(".partial.pt")
    network, card = train(recipe, cifar, progress)
    row = recipes.get(recipe.network)
    outputs = inference.logits(network, cifar.test_images, row.normalization)
    right = outputs.argmax(1) == cifar.test_labels
    card |= {"test_correct": int(right.sum()), "test_images": len(right)}
    checkpoints.save_checkpoint(network, path, card)
    progress.unlink(missing_ok=True)
    return network, checkpoints.load_checkpoint(path, network)


def _device_name(where: torch.device) -> str:
    cuda = where.type == "cuda"
    return torch.cuda.get_device_name(where) if cuda else str(where)


def crop_and_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Move each image by up to four pixels, and mirror half of them.

    ``images`` is (N, C, H, W) of any dtype, and so is the result. What moves
    in at an edge is the image reflected there; each image is moved and
    mirrored by draws of its own.
    """
    count, _, height, width = images.shape
    down, right = torch.randint(-4, 5, (2, count, 1), generator=generator)
    mirrored = torch.randint(0, 2, (count, 1), generator=generator) == 1
    rows = _reflected(torch.arange(height) + down, height)
    columns = torch.arange(width)
    columns = torch.where(mirrored, columns.flip(0), columns)
    columns = _reflected(columns + right, width)
    image, rows, columns = (
        index.to(images.device)
        for index in (
            torch.arange(count)[:, None, None],
            rows[:, :, None],
            columns[:, None, :],
        )
    )
    return images.permute(0, 2, 3, 1)[image, rows, columns].permute(
        0, 3, 1, 2
    )


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """The rate of one of the ``steps`` of a training, counted from 0.

    Equation (eq-one-cycle), or constant.
    """
    if recipe.schedule == "constant":
        return recipe.learning_rate
    rise = steps / 5
    done = step + 1
    return recipe.learning_rate * min(
        done / rise, (steps - step) / (steps - rise)
    )


def evaluate(
    network: nn.Module, images: Tensor, labels: Tensor, normalization: tuple
) -> dict:
    """Mean loss (nats) and accuracy of a float network on uint8 images.

    ``images`` is (N, C, H, W), ``labels`` int64 (N,), ``normalization`` as
    of ``inference.logits``, whose errors are raised. ValueError where labels
    are not as many or not int64.
    """
    outputs = inference.logits(network, images, normalization)
    if labels.shape != (len(images),) or labels.dtype != torch.int64:
        raise ValueError(
            f"labels of shape {tuple(labels.shape)}, {labels.dtype}: "
            f"expected int64 ({len(images)},), one for each image"
        )
    right = outputs.argmax(1) == labels
    return {
        "validation_loss": functional.cross_entropy(outputs, labels).item(),
        "validation_accuracy": int(right.sum()) / len(labels),
    }


def _optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    weights = [p for p in network.parameters() if p.dim() > 1]
    others = [p for p in network.parameters() if p.dim() == 1]
    groups = [
        {"params": weights, "weight_decay": recipe.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if recipe.optimizer == "adam":
        return torch.optim.Adam(groups, recipe.learning_rate)
    return torch.optim.SGD(
        groups, recipe.learning_rate, momentum=0.9, nesterov=True
    )


def _reflected(index: Tensor, size: int) -> Tensor:
    """Positions inside 0 to size - 1; those beyond an edge are mirrored."""
    return size - 1 - (size - 1 - index.abs()).abs()


def _precision(recipe: Recipe, where: torch.device):
    """Bfloat16 where it is faster: convolutions over channels, with AMX."""
    gains = recipe.bfloat16 and torch.cpu._is_amx_tile_supported()
    if where.type != "cpu" or not gains:
        return nullcontext()
    return torch.autocast("cpu", torch.bfloat16)


def _one_epoch(network, optimizer, train_set, recipe, epoch):
    """One pass in an order drawn from (seed, epoch); loss and accuracy."""
    images, labels = train_set
    normalize = recipes.get(recipe.network).normalize
    generator = torch.Generator().manual_seed(recipe.seed * 100_003 + epoch)
    order = torch.randperm(len(labels), generator=generator)
    if recipe.augmentation == "crop and flip":
        images = torch.cat(
            [crop_and_flip(p, generator) for p in images.split(5_000)]
        )
    labels = labels.to(images.device)
    network.train()
    batches = order.to(images.device).split(recipe.batch)
    # On the device: reading a number there would wait for it at each step.
    sums = torch.zeros(2, dtype=torch.float64, device=images.device)
    bar = tqdm(
        batches,
        desc=f"epoch {epoch + 1}/{recipe.epochs}",
        leave=False,
        mininterval=1,
        file=sys.stderr,
    )
    for step, batch in enumerate(bar, epoch * len(batches)):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(
                recipe, step, recipe.epochs * len(batches)
            )
        x = normalize(images[batch])
        x = x.contiguous(memory_format=torch.channels_last)
        with _precision(recipe, images.device):
            logits = network(x)
        loss = functional.cross_entropy(logits.float(), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        right = (logits.argmax(1) == labels[batch]).sum()
        sums += torch.stack([loss.detach().double() * len(batch), right])
    loss, correct = (sums / len(labels)).tolist()
    return loss, correct


def _resume(
    progress_file, recipe, network, optimizer
) -> tuple[list[dict], float]:
    """Load an interrupted training of the recipe; its history, seconds."""
    if not progress_file.exists():
        return [], 0.0
    try:
        stored = torch.load(
            progress_file, weights_only=True, map_location="cpu"
        )
    except Exception as error:  # torch and pickle raise many kinds
        warnings.warn(
            f"{progress_file} is damaged, training starts again: {error}",
            stacklevel=3,
        )
        return [], 0.0
    if stored["recipe"] != asdict(recipe):
        return [], 0.0
    network.load_state_dict(stored["network"])
    optimizer.load_state_dict(stored["optimizer"])
    return stored["history"], stored["seconds"]
