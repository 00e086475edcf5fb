"""What captions and tables of the chapters' views say of their data."""

import numpy as np
import pandas as pd
import torch

from ptq.book import baseline_views, grid_views, method_views
from ptq.data.cifar10 import CLASSES
from ptq.measure import grid_effects
from ptq.quantizer.affine import affine_grid


def test_predictions_say_how_many_are_right(capsys, tmp_path, pixels):
    found, labels = torch.tensor([3, 5, 5]), torch.tensor([3, 5, 0])
    baseline_views.predictions("a", tmp_path, pixels[:3], found, labels)
    told = capsys.readouterr().out
    assert "first 3 test images" in told and ": 2 are right" in told
    drawn = (tmp_path / "a.svg").read_text()
    assert f"({CLASSES[0]})" in drawn and f"({CLASSES[3]})" not in drawn


def test_confusion_names_the_commonest_mistake(capsys, tmp_path):
    labels = np.repeat(np.arange(10), 5)
    found = labels.copy()
    found[labels == 5], found[0] = 3, 1
    baseline_views.confusion("a", tmp_path, found, labels)
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
    baseline_views.training("a", tmp_path, history, 100)
    told = " ".join(capsys.readouterr().out.split())
    assert "After epoch 2 of 3" in told and "to 0.10 nats" in told
    assert "rises from 1.10 to 1.90" in told


def test_scales_stand_beside_range_and_both_divisors(capsys):
    grid = affine_grid(torch.tensor(-1.0), torch.tensor(1.54), 0, 127)
    grid_views.scales("a", {"quant": (0.02, 50)}, {"input": grid})
    row = "| input | 2.54000 | 0.02000 | 0.02000 | 0.00996 |"
    assert row in capsys.readouterr().out


def test_outputs_are_compared_with_the_reference(capsys):
    labels = np.arange(100) % 10
    worse = np.where(np.arange(100) < 9, 9 - labels, labels)
    seen = grid_effects.Outputs(sqnr=21.26, at_ends=1.634, ties=7)
    given, found = {"8 bits": worse}, {"8 bits": seen}
    grid_views.outputs("a", "Caption.", labels, given, labels, found)
    told = capsys.readouterr().out
    for cell in ("91.00", "9 / 0", "worse", " 7 ", "1.63", "21.3"):
        assert cell in told


def test_left_over_errors_show_mean_and_both_ends(capsys):
    found = {4: pd.DataFrame({"conv1": [50.0, 70.0, 90.0]})}
    method_views.errors_left("a", found)
    told = capsys.readouterr().out
    assert "70 (50–90)" in told and "mean over 3 draws" in told
