"""Train a network by a named recipe, with history, resumably."""

import sys
import time
import warnings
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from ptq import data, inputs, networks, paths
from ptq.networks import CompactCNN


@dataclass(frozen=True)
class Recipe:
    """The published recipe: Adam, cross entropy, no augmentation.

    ``seed`` fixes the split, the initial weights and the batch order.
    ``train_images`` of the 45,000 are used (all but in quick tests).
    """

    seed: int = 42
    epochs: int = 20
    train_images: int = 45_000
    batch: int = 64
    learning_rate: float = 1e-3

    @property
    def name(self) -> str:
        """File name that differs where the trained network would."""
        usual = Recipe(self.seed, self.epochs)
        changed = "".join(
            f"-{field.name}{getattr(self, field.name)}"
            for field in fields(self)
            if getattr(self, field.name) != getattr(usual, field.name)
        )
        return f"cnn-seed{self.seed}-epochs{self.epochs}{changed}"


def device() -> torch.device:
    """The fastest device torch has here: CUDA, Apple's MPS, or the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def train(
    recipe: Recipe, cifar: data.Cifar10, progress_file: Path
) -> tuple[CompactCNN, dict]:
    """Train and return the network (on the CPU, eval mode) and its card.

    After each epoch the state goes to ``progress_file``; a later call with
    the same recipe goes on from there, to the same result.
    """
    where = device()
    network = initial_network(recipe.seed).to(
        where, memory_format=torch.channels_last
    )
    optimizer = torch.optim.Adam(network.parameters(), recipe.learning_rate)
    history, seconds = _resume(progress_file, recipe, network, optimizer)
    train_set, validation_set = (
        (cifar.train_images[chosen].to(where), cifar.train_labels[chosen])
        for chosen in data.split(recipe.seed)
    )
    train_set = tuple(part[: recipe.train_images] for part in train_set)
    for epoch in range(len(history), recipe.epochs):
        started = time.time()
        loss, accuracy = _one_epoch(
            network, optimizer, train_set, recipe, epoch
        )
        row = {"train_loss": loss, "train_accuracy": accuracy}
        row |= evaluate(network, *validation_set)
        history.append(row)
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
        "network": "CompactCNN",
        "recipe": asdict(recipe),
        "history": history,
        "device": str(where),
        "threads": torch.get_num_threads(),
        "seconds": round(seconds),
        "versions": {"torch": torch.__version__},
        "python": sys.version.split()[0],
    }


def initial_network(seed: int) -> CompactCNN:
    """The untrained network; torch's global generator is left untouched."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return CompactCNN()


def evaluate(network: nn.Module, images: Tensor, labels: Tensor) -> dict:
    """Mean loss (nats) and accuracy of a float network on uint8 images.

    ``images`` is (N, 3, 32, 32), ``labels`` int64 (N,). The network is
    asked in eval mode and left as it was. Raises InputError where there are
    no images or they are not uint8, ValueError where labels are not as many
    or not int64.
    """
    inputs.check_pixels(images)
    if labels.shape != (len(images),) or labels.dtype != torch.int64:
        raise ValueError(
            f"labels of shape {tuple(labels.shape)}, {labels.dtype}: "
            f"expected int64 ({len(images)},), one for each image"
        )
    loss, correct = 0.0, 0
    with networks.evaluating(network), torch.inference_mode():
        for part, target in zip(
            images.split(1000), labels.split(1000), strict=True
        ):
            target = target.to(part.device)
            logits = network(data.normalize(part))
            loss += functional.cross_entropy(
                logits, target, reduction="sum"
            ).item()
            correct += (logits.argmax(1) == target).sum().item()
    return {
        "validation_loss": loss / len(labels),
        "validation_accuracy": correct / len(labels),
    }


def _one_epoch(network, optimizer, train_set, recipe, epoch):
    """One pass in an order drawn from (seed, epoch); loss and accuracy."""
    images, labels = train_set
    generator = torch.Generator().manual_seed(recipe.seed * 100_003 + epoch)
    order = torch.randperm(len(labels), generator=generator)
    labels = labels.to(images.device)
    network.train()
    loss_sum, correct = 0.0, 0
    bar = tqdm(
        order.to(images.device).split(recipe.batch),
        desc=f"epoch {epoch + 1}/{recipe.epochs}",
        leave=False,
        mininterval=1,
        file=sys.stderr,
    )
    for batch in bar:
        x = data.normalize(images[batch])
        logits = network(x.contiguous(memory_format=torch.channels_last))
        loss = functional.cross_entropy(logits, labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss_sum += loss.item() * len(batch)
        correct += (logits.argmax(1) == labels[batch]).sum().item()
    return loss_sum / len(labels), correct / len(labels)


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
            f"{progress_file} is damaged, training starts anew: {error}",
            stacklevel=3,
        )
        return [], 0.0
    if stored["recipe"] != asdict(recipe):
        return [], 0.0
    network.load_state_dict(stored["network"])
    optimizer.load_state_dict(stored["optimizer"])
    return stored["history"], stored["seconds"]
