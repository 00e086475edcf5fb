"""References: kept from a sweep, read back, and checked by measuring."""

import json

import numpy as np
import pandas as pd
import pytest

from ptq import paths
from ptq.experiment import committed_sweeps, results
from ptq.measure import host
from ptq.running import sweep_plan

SWEEPS = paths.REPOSITORY / "notebooks" / "sweeps"


def record(predictions, strategy="naive", correct=3):
    counted = correct, len(predictions), 0.5, 7, 7
    found = np.asarray(predictions, np.uint8)
    return results.Record(strategy, "", {}, *counted, "x86", {}, {}, found)


@pytest.fixture
def finished(tmp_path):
    """A sweep's folder with two done points of one record each."""
    rows = [
        {
            "point": point,
            "seed": seed,
            "strategy": "naive",
            "engine": "x86",
            "correct": 3 + seed,
            "n": 10,
            "accuracy": 0.3 + seed / 10,
            "loss": 1 / 3,
            "predictions": f"00000000000{seed}",
        }
        for point, seed in (("aa", 1), ("bb", 2))
    ]
    pd.DataFrame(rows).to_parquet(tmp_path / "table.parquet")
    manifest = {
        "sweep": "toy",
        "chapter": "toy",
        "version": "1",
        "points": {"aa": "manifest.json", "bb": "manifest.json"},
    }
    for day, point in enumerate(manifest["points"], 1):
        told = {
            "seconds": 1800,
            "commit": "c0ffee",
            "machine": host.machine() | {"load": day},
            "finished": f"2026-11-0{day}T10:00:00Z",
        }
        place = tmp_path / "points" / point
        place.mkdir(parents=True)
        (place / "manifest.json").write_text(json.dumps(told))
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    return tmp_path


def test_what_is_kept_is_read_back(finished, tmp_path):
    path = committed_sweeps.keep("toy", finished, tmp_path / "kept")
    frame, manifest = committed_sweeps.load("toy", tmp_path / "kept")
    assert frame.correct.tolist() == [4, 5]
    assert frame.n.tolist() == [10, 10]
    assert frame.accuracy.tolist() == [0.4, 0.5]
    assert frame.predictions.tolist() == ["000000000001", "000000000002"]
    assert frame.loss.tolist() == [pytest.approx(1 / 3, abs=1e-6)] * 2
    assert manifest["points"] == 2 and manifest["seconds"] == 3600
    assert "n" not in path.read_text().splitlines()[0].split(",")
    sentence = committed_sweeps.origin(manifest)
    assert "c0ffee" in sentence and "1.0 worker hours" in sentence
    assert "on 2026-11-01 to 2026-11-02" in sentence


def test_one_reference_is_of_one_kind_of_machine(finished, tmp_path):
    path = finished / "points" / "bb" / "manifest.json"
    told = json.loads(path.read_text())
    told["machine"]["torch"] = "3.0"
    path.write_text(json.dumps(told))
    with pytest.raises(
        committed_sweeps.ReferenceError, match="one kind of machine"
    ):
        committed_sweeps.keep("toy", finished, tmp_path / "kept")


@pytest.mark.parametrize("state", ["failure.json", ""])
def test_an_unfinished_sweep_is_no_reference(state, finished, tmp_path):
    manifest = json.loads((finished / "manifest.json").read_text())
    manifest["points"]["bb"] = state
    (finished / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(
        committed_sweeps.ReferenceError, match="1 of 2 points"
    ):
        committed_sweeps.keep("toy", finished, tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize("damage", ["csv", "json"])
def test_a_damaged_reference_is_named(damage, finished, tmp_path):
    path = committed_sweeps.keep("toy", finished, tmp_path / "kept")
    path.with_suffix(f".{damage}").write_text("")
    with pytest.raises(
        committed_sweeps.ReferenceError, match="toy.csv.*sweeps"
    ):
        committed_sweeps.load("toy", tmp_path / "kept")


class TestAgreement:
    predictions = np.arange(100) % 10

    def compare(self, now, machine=None, correct=50):
        known = record(self.predictions, correct=50)
        rows = pd.DataFrame(
            [
                {
                    "correct": known.correct,
                    "n": 100,
                    "predictions": committed_sweeps.digest(known),
                }
            ]
        )
        manifest = {
            "constant": {"engine": "x86"},
            "machine": host.machine() | (machine or {}),
        }
        found = committed_sweeps.agreement(
            rows, [record(now, correct=correct)], manifest
        )
        return found.how[0], bool(found.agrees[0])

    def test_same_arithmetic_demands_equal_predictions(self):
        assert self.compare(self.predictions) == ("equal predictions", True)
        other = np.where(self.predictions == 9, 8, self.predictions)
        assert self.compare(other) == ("equal predictions", False)

    @pytest.mark.parametrize(
        "machine",
        [{"features": ["avx2"]}, {"torch": "3.0"}, {"processor": "Other"}],
    )
    def test_elsewhere_the_interval_decides(self, machine):
        other = self.predictions[::-1]
        # Wilson's interval of 50 of 100 is 40.4 to 59.6 %.
        for correct, agrees in ((41, True), (59, True), (40, False)):
            found = self.compare(other, machine, correct)
            assert found == ("within interval", agrees)

    def test_a_record_without_later_flags_is_of_this_machine(self):
        known = [f for f in host.machine()["features"] if "bf16" not in f]
        other = np.where(self.predictions == 9, 8, self.predictions)
        found = self.compare(other, {"features": known})
        assert found == ("equal predictions", False)

    def test_another_number_of_records_is_refused(self):
        with pytest.raises(ValueError):
            committed_sweeps.agreement(
                pd.DataFrame({"correct": [1], "n": [2]}), [], {}
            )


@pytest.mark.parametrize(
    ("count", "test_images", "expected"),
    [
        (7, 10_000, [0, 1, 2, 3, 4, 5, 6]),
        (15, 300, [0, 14]),
        (16, 2_500, [0, 5, 10, 15]),
        (2, 1, [0, 1]),
    ],
)
def test_fewer_images_repeat_fewer_networks(count, test_images, expected):
    assert committed_sweeps.repeated(range(count), test_images) == expected


@pytest.mark.parametrize(
    "path", sorted(SWEEPS.glob("*.yml")), ids=lambda path: path.stem
)
def test_a_reference_has_the_points_of_its_sweep_file(path):
    asked = list(sweep_plan.read(path, elsewhere=True).points.values())
    frame, manifest = committed_sweeps.load(path.stem)
    keys = [
        key
        for key in ("network", "train_seed", "seed", "row")
        if key in asked[0] and key in frame
    ]
    assert manifest["points"] == len(asked)
    assert set(map(tuple, frame[keys].to_numpy())) == {
        tuple(point[key] for key in keys) for point in asked
    }
