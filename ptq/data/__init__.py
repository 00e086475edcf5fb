"""Labelled images: verified, split, drawn, normalized."""

from ptq.registry import Registry

# Each module has ``load``, ``CLASSES`` (names) and ``SHAPE`` (of an image).
DATA_SETS = Registry("data set", {"cifar10": "ptq.data.cifar10"})
get = DATA_SETS.module
