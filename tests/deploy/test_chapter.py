"""The chapter on a reader's network, with what a reader brings."""

import json

import numpy as np
import papermill
import pytest

from ptq.running import pipeline

pytestmark = [pytest.mark.book, pytest.mark.slow]


def test_a_readers_network_without_labels(net, tmp_path):
    np.savez(tmp_path / "images.npz", images=net.test[:200])
    given = {
        "network": f"{net.folder / 'net.py'}:make",
        "checkpoint": str(net.folder / "w.pt"),
        "data": str(tmp_path / "images.npz"),
        "calibration_images": 64,
        "rounds": 2,
        "run_dir": str(tmp_path / "run"),
    }
    done = papermill.execute_notebook(
        str(pipeline.SOURCES / "17_own_network.ipynb"),
        str(tmp_path / "out.ipynb"),
        parameters=given,
        progress_bar=False,
    )
    assert done.metadata.papermill.exception is None
    card = json.loads((tmp_path / "run/own/Net/card.json").read_text())
    assert card["judgement"]["images"] == 200 - 64
    (row,) = card["judgement"]["rows"]
    assert row["lost"] is None and row["disagreement"]["value"] < 0.05
