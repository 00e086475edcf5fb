"""Records and timings on disk, and the tables made of them."""

import ast
import dataclasses
import json
import shutil
from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest
from made_timings import made_timing

from ptq import paths
from ptq.book import show, tables
from ptq.evidence import intervals, network_pairs, time_ratios
from ptq.evidence.checks import InputError
from ptq.experiment import comparison, laboratory, results, source_hash
from ptq.judge import judgement

LABELS = np.arange(100) % 10


def record(strategy="naive", wrong=(), **changes):
    predictions = LABELS.astype(np.uint8)
    predictions[list(wrong)] = (predictions[list(wrong)] + 1) % 10
    made = results.Record(
        strategy=strategy,
        key="0123456789abcdef",
        bits={"conv1": 8, "conv2": 32},
        correct=100 - len(wrong),
        n=100,
        loss=1.4142135623730951,
        file_bytes=551_234,
        payload_bytes=549_000,
        engine="x86",
        parameters={"seed": 42, "data_dir": ""},
        machine={"processor": "Ω 9000", "features": ["avx2"], "load": 0.25},
        predictions=predictions,
    )
    return replace(made, **changes)


SESSION = np.array([0.5, 0.7, 0.6, 0.6])
TIMING = made_timing(
    {"fp32": [SESSION] * 3, "naive": [SESSION / 2] * 3, "A/A": [SESSION] * 3},
    batch=64,
    name="batch64-threads1-hot",
    machine={"processor": "Ω 9000", "cores": 2},
)


def assert_same(found, expected):
    for field in fields(expected):
        one, other = (getattr(r, field.name) for r in (found, expected))
        if field.name == "predictions":
            assert one.dtype == other.dtype
            one, other = one.tolist(), other.tolist()
        assert one == other, field.name


def test_record_round_trip(tmp_path):
    path = record().save(tmp_path / "records")
    assert_same(results.load_record(path), record())


def test_timing_round_trip(tmp_path):
    path = TIMING.save(tmp_path / "timings")
    assert_same(results.load_timing(path), TIMING)


def swap_predictions(path):
    other = record("folded", wrong=[3]).save(path.parent)
    other.with_suffix(".npy").replace(path.with_suffix(".npy"))


def change(path, edit):
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def halve(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGES = {
    "no record": lambda path: path.unlink(),
    "no json": lambda path: path.write_text("{'correct': 7165}"),
    "half written": halve,
    "not text": lambda path: path.write_bytes(b"\xff\xfe\x00"),
    "a list": lambda path: path.write_text("[1, 2]"),
    "field missing": lambda path: change(path, lambda c: c.pop("loss")),
    "field unknown": lambda path: change(path, lambda c: c.update(lost=3)),
    "no checksum": lambda p: change(p, lambda c: c.pop("predictions_sha256")),
    "no predictions": lambda path: path.with_suffix(".npy").unlink(),
    "half the predictions": lambda path: halve(path.with_suffix(".npy")),
    "other predictions": swap_predictions,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_damaged_record_is_refused_by_name(damage, tmp_path):
    path = record().save(tmp_path)
    damage(path)
    with pytest.raises(results.RecordError, match="naive.json"):
        results.load_record(path)


@pytest.mark.parametrize("content", ["", "{}", '{"name": 1', "[]"])
def test_damaged_timing_is_refused_by_name(content, tmp_path):
    path = tmp_path / "01_baseline_64.json"
    path.write_text(content)
    with pytest.raises(results.RecordError, match=path.name):
        results.load_timing(path)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_whole_file_keeps_the_old_one_when_interrupted(error, tmp_path):
    path = tmp_path / "record.json"
    paths.write_whole(path, "old")
    with pytest.raises(error), paths.whole_file(path) as temporary:
        temporary.write_text("half of the n")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_whole_file_replaces_the_old_one_at_the_end(tmp_path):
    path = tmp_path / "new" / "record.json"
    paths.write_whole(path, "old")
    with paths.whole_file(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_comparison_counts_against_the_first_record():
    records = [record("fp32", wrong=[1, 2, 3]), record(wrong=[3, 4])]
    frame = comparison.of_records(records, LABELS, TIMING).frame
    assert list(frame.index) == ["fp32", "naive"]
    assert list(frame.correct) == [97, 98]
    assert list(frame.lost) == [0, 1]
    assert list(frame.gained) == [0, 2]
    assert list(frame.p) == [1, 1]
    interval = intervals.wilson(98, 100)
    row = frame.loc["naive"]
    assert (row.accuracy, row.accuracy_low, row.accuracy_high) == (
        interval.value,
        interval.low,
        interval.high,
    )
    assert row.milliseconds == pytest.approx(1e3 * 0.3 / 64)
    assert row.milliseconds_q1 == pytest.approx(1e3 * 0.2875 / 64)
    assert row.milliseconds_q3 == pytest.approx(1e3 * 0.3125 / 64)
    assert row.speedup == pytest.approx(2)
    assert row.speedup_low <= 2 <= row.speedup_high
    assert (row.file_bytes, row.payload_bytes) == (551_234, 549_000)
    assert frame.loc["fp32"].speedup == 1


def test_any_predictions_are_compared_with_any_reference():
    worse = np.where(np.arange(100) < 20, (LABELS + 1) % 10, LABELS)
    networks = {"mine": worse, "naive": LABELS}
    found = comparison.compare(networks, LABELS, "naive")
    assert found.verdicts == {"mine": "worse"}
    assert found.text().splitlines() == [
        "Naive: 100.00 (96.30–100.00) % right; reference",
        "mine: 80.00 (71.12–86.66) % right, "
        "-20.00 (-27.78 to -11.44) points; worse",
    ]
    row = found.rows["mine"]
    assert (row.correct, row.pair.lost, row.times) == (80, 20, {})
    assert found.frame.loc["mine", "change"] == -0.2
    networks = {"naive": LABELS, "mine": worse}
    judged = judgement.judge(networks, LABELS).rows[0]
    assert (judged.change, judged.p_holm) == (row.pair.change, row.pair.holm)
    assert judged.verdict == row.verdict
    with pytest.raises(InputError, match="numbers of images differ"):
        comparison.compare({"mine": worse[1:], "naive": LABELS}, LABELS)


def test_comparison_survives_the_disk(tmp_path):
    frame = comparison.of_records(
        [record("fp32"), record()], LABELS, TIMING
    ).frame
    comparison.save_comparison(frame, tmp_path)
    pd.testing.assert_frame_equal(comparison.load_comparison(tmp_path), frame)


@pytest.mark.parametrize("timing", [None, TIMING])
def test_readable_comparison_tells_every_uncertainty(timing):
    records = [record("fp32"), record(wrong=[3, 4])]
    frame = tables.networks.readable(
        comparison.of_records(records, LABELS, timing).frame
    )
    naive = frame.set_index("strategy").loc["Naive"]
    assert naive["top-1 (%)"] == "98.00"
    assert naive["95 % interval"] == "93.0–99.4"
    assert naive["lost / gained"] == "2 / 0"
    assert naive["change (points)"] == "-5.78 to +1.86"
    assert naive["Holm p"] == "0.5"
    assert naive["verdict"] == "no difference shown"
    assert naive["size (MB)"] == "0.551"
    if timing:
        assert naive["ms per image"] == "4.688"
        assert naive["speed-up"] == "2.00 (2.00–2.00)"
        assert naive["time"] == "faster"
    else:
        assert "speed-up" not in naive


def with_times(**seconds):
    return dataclasses.replace(TIMING, seconds=TIMING.seconds | seconds)


def test_speedup_within_the_timers_error_is_marked():
    noisy = with_times(**{"A/A": [(SESSION / k).tolist() for k in (1, 2, 3)]})
    names = ["fp32", "naive"]
    cells = [
        tables.times.speedup_table([t], names).iloc[1, 2:].tolist()
        for t in (TIMING, noisy)
    ]
    assert cells == [
        ["2.00 (2.00–2.00)", "faster"],
        ["2.00 (2.00–2.00)", "no difference shown"],
    ]


def test_a_table_of_speed_has_one_number_of_threads():
    more = dataclasses.replace(TIMING, threads=TIMING.threads + 1)
    with pytest.raises(ValueError, match=r"\[1, 2\] threads"):
        tables.times.speedup_table([TIMING, more], ["fp32", "naive"])


def test_the_timers_error_is_computed_once_a_timing(monkeypatch):
    pairs, ratio = [], time_ratios.speedup

    def counted(slow, fast):
        pairs.append((slow.tobytes(), fast.tobytes()))
        return ratio(slow, fast)

    monkeypatch.setattr(time_ratios, "speedup", counted)
    timing = with_times(**{"A/A": [(1.01 * SESSION).tolist()] * 3})
    names = ["fp32", "naive"]
    tables.times.timing_rows([timing], names)
    tables.times.speedup_table([timing], names)
    itself = timing.of("fp32").tobytes(), timing.of("A/A").tobytes()
    # Once as the error, and once in the last row of each table.
    assert pairs.count(itself) == 3


def test_a_busy_machine_is_said_and_gives_no_verdict(capsys):
    busy = dataclasses.replace(TIMING, busy=["other programs computed"])
    assert busy.time_verdict("fp32", "naive") == "not judged"
    found = busy.judged(busy.speedup("fp32", "naive"))
    assert found.value == pytest.approx(2)
    assert np.isnan([found.low, found.high]).all()
    table = tables.times.timing_rows([busy], ["fp32", "naive"])
    assert table.time.tolist() == ["reference", "not judged", "not judged"]
    assert table["ms per image"].tolist() == ["9.375", "4.688", "9.375"]
    assert busy.told("fp32", "naive") == "2.00 (not judged)"
    assert "Not judged" in tables.times.remarks([busy], ["fp32"])
    tables.times.caution([busy])
    told = capsys.readouterr().out
    assert "busy" in told and "other conditions" not in told
    tables.times.caution([TIMING])
    assert capsys.readouterr().out == ""


def test_one_busy_condition_does_not_condemn_the_others(capsys):
    busy = ["others computed"]
    cold = dataclasses.replace(TIMING, batch=1, mode="cold", busy=busy)
    told = tables.times.remarks([TIMING, cold], ["fp32"])
    sentence = "Not judged, for this machine was busy: {}."
    assert sentence.format("batch 1, one thread, cold") in told
    tables.times.caution([TIMING, cold])
    told = capsys.readouterr().out
    assert "busy: batch 1, one thread, cold (others computed)." in told
    assert "The other conditions were quiet." in told
    assert "batch 64" not in told
    hot = dataclasses.replace(TIMING, busy=busy)
    tables.times.caution([hot, cold])
    told = capsys.readouterr().out
    assert "hot (others computed); batch 1, one thread, cold (o" in told


def test_busy_times_are_named_as_asked_the_noisiest_first(capsys):
    """Networks of two sizes may have one batch and number of threads."""
    small = dataclasses.replace(TIMING, busy=["others computed"])
    large = dataclasses.replace(
        with_times(**{"A/A": [(SESSION / 4).tolist()] * 3}), busy=["itself"]
    )
    tables.times.caution([small, large], ["width 8", "width 64"])
    told = capsys.readouterr().out
    assert "busy: width 64 (itself); width 8 (others computed)." in told


def test_a_ratio_is_quoted_with_its_verdict():
    assert TIMING.told("fp32", "naive") == "2.00 (2.00–2.00; faster)"
    assert TIMING.told("fp32", "A/A").endswith("; no difference shown)")
    few = with_times(**{n: [v[0]] for n, v in TIMING.seconds.items()})
    assert few.told("fp32", "naive") == "2.00 (too few rounds)"


@pytest.mark.parametrize(("inside", "often"), [(35, True), (38, False)])
def test_how_often_intervals_held_is_told(inside, often):
    """Of 40, 38 are compatible with 95 %, and 35 are not."""
    equal = {"trials": 40, "inside": inside, "judged": 0}
    twice = {"trials": 40, "inside": 37, "judged": 40}
    real = {"equal": equal, "twice": twice, "busy": 2}
    told = tables.times.held({"real": real, "machine": {"processor": "Ω"}})
    assert f"held in {inside} of 40 (" in told
    less = ": less often than 95 % promise) with equal networks"
    assert (less in told) == often
    assert told.count("less often") == often
    assert "on Ω (2 of 41 busy)" in told
    assert "in 37 of 40 (92.5 %, 80.1–97.4) with twice the work" in told
    assert "none came out as faster" in told


def test_too_few_rounds_are_said_in_every_table():
    few = with_times(
        **{name: [times[0]] for name, times in TIMING.seconds.items()}
    )
    assert few.time_verdict("fp32", "naive") == "too few rounds"
    names = ["fp32", "naive"]
    cells = tables.times.speedup_table([few], names).iloc[1, 2:].tolist()
    assert cells == ["2.00", "too few rounds"]
    assert tables.times.timing_rows([few], names).loc[1, "speed-up"] == "2.00"
    assert "Too few rounds" in tables.times.remarks([few], names)
    records = [record("fp32"), record()]
    frame = comparison.of_records(records, LABELS, few, single=few).frame
    assert frame.loc["naive", "time_verdict"] == "too few rounds"
    changes = pd.DataFrame({"naive": [-0.001, 0.001, 0.0]})
    page = tables.networks.front_page(frame, changes)
    shown = page.set_index("strategy").loc["Naive"]
    assert shown["accuracy over 3 trainings"] == "non-inferior"
    for batch in (64, 1):
        assert shown[f"batch {batch}: times as fast"] == "2.00"
        assert shown[f"batch {batch}: verdict"] == "too few rounds"


def test_two_humps_are_said():
    slow = np.where(np.arange(12).reshape(3, 4) % 2, 0.042, 0.109)
    noise = np.random.default_rng(1).lognormal(0, 0.02, (2, 3, 4))
    humped = with_times(naive=(slow * noise[0]).tolist())
    assert "*Naive*" in tables.times.remarks([humped], ["fp32", "naive"])
    assert "humps" not in tables.times.remarks([TIMING], ["fp32"])


def test_markdown_is_a_pipe_table():
    frame = pd.DataFrame({"layer": ["conv1", "fc2"], "MACs": [884736, 1280]})
    assert show.markdown(frame).splitlines() == [
        "| layer | MACs |",
        "| :-- | --: |",
        "| conv1 | 884736 |",
        "| fc2 | 1280 |",
    ]


def test_record_is_measured_anew_when_it_would_differ(cifar, tmp_path):
    lab = laboratory.open_experiment(
        test_images=40, calibration_images=8, run_dir=str(tmp_path)
    )
    first = lab.measure("naive")
    right = first.predictions == cifar.test_labels[:40].numpy()
    assert (first.correct, first.n) == (right.sum(), 40)
    path = tmp_path / "records" / "naive.json"
    written = path.stat().st_mtime_ns
    assert_same(lab.record("naive"), first)
    assert path.stat().st_mtime_ns == written
    for name, value in (("calibration_images", 9), ("seed", 7)):
        other = replace(lab, settings=lab.settings | {name: value})
        again = other.record("naive")
        assert again.parameters[name] == value
        assert again.key != first.key


@pytest.fixture
def copied_package(monkeypatch, tmp_path):
    package = tmp_path / "ptq"
    shutil.copytree(source_hash.PACKAGE, package)
    monkeypatch.setattr(source_hash, "PACKAGE", package)
    return package


def hashes():
    for function in (source_hash.package_hash, source_hash.science_hash):
        function.cache_clear()
    found = source_hash.package_hash(), source_hash.science_hash()
    for function in (source_hash.package_hash, source_hash.science_hash):
        function.cache_clear()
    return found


def test_only_science_makes_a_record_stale(copied_package):
    """One byte in each module, and in a folder that a later layout brings."""
    before = hashes()
    (copied_package / "later").mkdir()
    (copied_package / "later" / "room.py").write_text("")
    assert hashes()[0] != before[0] and hashes()[1] == before[1]
    told = source_hash.science_files()
    for path in sorted(copied_package.rglob("*.py")):
        before = hashes()
        path.write_bytes(path.read_bytes() + b"\n")
        package, science = hashes()
        assert package != before[0]
        assert (science != before[1]) == (path in told)


def test_science_imports_nothing_that_its_hash_misses():
    package = source_hash.PACKAGE
    science = source_hash.science_files()
    assert len(science) > 20
    allowed = {*science, package / "paths.py", package / "npm_packages.py"}
    for path in science:
        for node in ast.walk(ast.parse(path.read_text())):
            module = getattr(node, "module", None) or ""
            if module.partition(".")[0] != "ptq":
                continue
            parts = module.split(".")[1:]
            for alias in node.names:
                whole = package.joinpath(*parts, alias.name)
                found = whole.with_suffix(".py")
                if not found.exists():
                    found = whole / "__init__.py"
                if not found.exists():
                    found = package.joinpath(*parts).with_suffix(".py")
                if not found.exists():  # a name that the room offers
                    found = package.joinpath(*parts, "__init__.py")
                assert found in allowed, (path, found)


def test_two_records_side_by_side():
    first, second = record("fp32", wrong=[1, 2]), record(wrong=[2, 3, 4])
    found = comparison.paired(first, second, LABELS)
    assert (found.n, found.lost, found.gained, found.net) == (100, 2, 1, -1)
    assert found.change.value == pytest.approx(-0.01)
    assert found.p == 1.0 and found.verdict == "no difference shown"
    assert found.detectable == np.inf
    row = comparison.of_records([first, second], LABELS).frame.loc["naive"]
    assert found.change.low == row.change_low


def test_pairs_of_one_table_share_holms_correction():
    right, wrong = LABELS, np.where(np.arange(100) < 6, 9 - LABELS, LABELS)
    pairs = {"lost": (right, wrong), "same": (right, right)}
    found = network_pairs.compared(pairs, LABELS)
    lost, same = found["lost"], found["same"]
    assert lost.p == pytest.approx(2 / 2**6)
    assert lost.holm == pytest.approx(2 * lost.p) and same.holm == 1
    assert lost.verdict == "no difference shown"
    assert lost.disagreement == lost.lost == 6 and same.disagreement == 0
    alone = network_pairs.compared({"lost": (right, wrong)}, LABELS)["lost"]
    assert network_pairs.needed(alone) == "6 images"
    assert network_pairs.needed(same) == "more than all of them"
    assert alone.holm == alone.p and alone.verdict == "worse"


def test_sentences_quote_a_dataclass_field_by_field(capsys):
    pair = comparison.paired(record("fp32"), record(wrong=[5]), LABELS)
    show.note(pair=pair, speed=intervals.Interval(2.0, 1.5, 2.5))
    assert show.quote("pair.lost:d") == "1"
    assert show.quote("pair.verdict:s") == pair.verdict
    assert show.quote("pair.change:+.1f") == f"{pair.change:+.1f}"
    assert show.quote("speed:.1f") == "2.0 (1.5–2.5)"
