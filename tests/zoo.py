"""torchvision's classification CNNs, with BN statistics of real images."""

import torch
import torchvision
from torch import nn
from torch.nn import functional as F

# The smallest member of each family, and the side of its smallest images.
SMALLEST = {
    "alexnet": 63,
    "resnet18": 32,
    "resnext50_32x4d": 32,
    "wide_resnet50_2": 32,
    "densenet121": 32,
    "squeezenet1_1": 32,
    "googlenet": 32,
    "inception_v3": 75,
    "shufflenet_v2_x0_5": 32,
    "mobilenet_v2": 32,
    "mobilenet_v3_small": 32,
    "mnasnet0_5": 32,
    "efficientnet_b0": 32,
    "regnet_y_400mf": 32,
    "convnext_tiny": 32,
}
FAMILIES = (
    *("alexnet", "vgg", "resnet", "resnext", "wide_resnet", "densenet"),
    *("squeezenet", "googlenet", "inception", "shufflenet", "mobilenet"),
    *("mnasnet", "efficientnet", "regnet", "convnext"),
)
LARGE = 100_000_000  # parameters; beyond, a network is only traced


def members():
    """Names of all CNNs that classify images, smallest ones included."""
    listed = torchvision.models.list_models(module=torchvision.models)
    return [name for name in listed if name.startswith(FAMILIES)]


def side(name):
    """Side of the images on which a member is tested."""
    smallest = {"inception_v3": 75, "alexnet": 63}
    return smallest.get(name, 32)


def member(name):
    """A member with random weights for ten classes."""
    options = {"weights": None, "num_classes": 10}
    if name in ("googlenet", "inception_v3"):
        options |= {"init_weights": False, "aux_logits": False}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return torchvision.models.get_model(name, **options).eval()


def warm(network, images):
    """Let BN take its statistics from ``images``; dropout draws by seed.

    A share of the initial variance of 1 stays: without it channels that are
    nearly dead amplify float32's own rounding in untrained networks.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.5
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        for _ in range(3):
            network.train()(images)
    return network.eval()


def resized(images, size):
    """Images of another side, bilinearly."""
    if images.shape[-1] == size:
        return images
    return F.interpolate(images, size=(size, size), mode="bilinear")
