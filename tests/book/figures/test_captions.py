"""What captions and tables of the chapters' views say of their data."""

import numpy as np
import torch

from ptq.book import figures
from ptq.data.cifar10 import CLASSES


def test_predictions_say_how_many_are_right(capsys, tmp_path, pixels):
    found, labels = torch.tensor([3, 5, 5]), torch.tensor([3, 5, 0])
    figures.data.predictions("a", tmp_path, pixels[:3], found, labels)
    told = capsys.readouterr().out
    assert "first 3 test images" in told and ": 2 are right" in told
    drawn = (tmp_path / "a.svg").read_text()
    assert f"({CLASSES[0]})" in drawn and f"({CLASSES[3]})" not in drawn


def test_confusion_names_the_commonest_mistake(capsys, tmp_path):
    labels = np.repeat(np.arange(10), 5)
    found = labels.copy()
    found[labels == 5], found[0] = 3, 1
    figures.confusion.commonest("a", tmp_path, found, labels)
    told = capsys.readouterr().out
    mistake = f"5 images of class {CLASSES[5]} are taken for {CLASSES[3]}"
    assert mistake in told and "0 to 5" in told


def test_training_names_the_best_epoch_and_both_losses(capsys, tmp_path):
    names = ("train_loss", "validation_loss", "train_accuracy")
    rows = ((2.0, 1.5, 0.3, 0.4), (1.0, 1.1, 0.6, 0.7), (0.1, 1.9, 0.9, 0.6))
    history = [
        dict(zip((*names, "validation_accuracy"), row, strict=True))
        for row in rows
    ]
    figures.data.training("a", tmp_path, history, 100)
    told = " ".join(capsys.readouterr().out.split())
    assert "After epoch 2 of 3" in told and "to 0.10 nats" in told
    assert "rises from 1.10 to 1.90" in told
