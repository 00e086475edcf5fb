"""Rows of a bench, what knobs turn, and the words on made times."""

import copy
import json
import sys

import numpy as np
import pytest
import torch
from made_timings import made_timing
from small_network import pixels_of, small

from ptq import engines
from ptq.bench import (
    against_peers,
    competitors,
    fastest_engine,
    knobs,
    measuring,
    peers,
    two_runs,
    wrong_ways,
)
from ptq.deploy import inputs
from ptq.engines import onnx_file, onnx_runtime, simulation
from ptq.evidence.checks import InputError
from ptq.evidence.intervals import Interval
from ptq.graph import UnsupportedError
from ptq.measure import timer
from ptq.quantizer.quantizing import quantize

MACHINE = {
    "processor": "one",
    "architecture": "x86_64",
    "system": "Linux",
    "cores": 2,
    "features": ["avx2"],
}


@pytest.fixture(scope="module")
def pair():
    """A network and its images, and what was made of it."""
    images = pixels_of(80, 3, 12, 12)
    pair = small(), images[:40]
    made = inputs.checked(*pair, images[40:], None, (0.5, 0.5), None)
    return made, quantize(
        made.network, made.calibration, normalization=(0.5, 0.5)
    )


@pytest.fixture(scope="module")
def tuner(pair):
    made, _ = pair
    network = quantize(
        *(made.network, made.calibration),
        **{"normalization": (0.5, 0.5), "on_pixels": True},
    )
    return fastest_engine.Tuner(network)


# Not a part of the book's environment: see its own test.
OPTIONAL = {
    "INT8, NNCF into OpenVINO": "nncf",
    "INT8, PT2E into Inductor": "torchao",
}


@pytest.fixture(scope="module")
def rows(pair, tuner):
    found, left_out = competitors.all_of(*pair, tuner)
    assert left_out.keys() <= OPTIONAL.keys()
    return found


def asked(load, images, threads=1):
    with torch.inference_mode():
        return competitors.Loaded(load)(images)


def test_rows_put_out_what_the_network_does(pair, rows):
    made, network = pair
    images = made.test
    with torch.inference_mode():
        wanted = made.network(network.normalized(images))
    reach = float(wanted.abs().max())
    for name, row in rows.items():
        error = float((asked(row.load, images) - wanted).abs().max()) / reach
        allowed = {"FP32": 1e-4, "BF16": 0.1, "INT8": 0.2}[row.arithmetic]
        assert error < allowed, name
        assert asked(row.load, images).dtype == torch.float32


def test_bytes_are_those_of_the_files(pair, tuner, rows):
    _, network = pair
    numbers = 4 * sum(p.numel() for p in small().parameters())
    assert numbers < rows["FP32"].bytes < numbers + 10_000
    for name, model in {
        "FP32, ONNX Runtime": onnx_file.float_model(network.graph),
        "INT8, onnx runtime": onnx_file.model(tuner.network, pixels=True),
        competitors.RECOMMENDED: onnx_file.model(tuner.network, pixels=True),
    }.items():
        assert rows[name].bytes == model.ByteSize()


def test_a_copy_is_loaded_anew_for_the_threads_of_then(pair):
    made, _ = pair
    seen = []

    def load(threads):
        seen.append(threads)
        return lambda images: images

    first = competitors.Loaded(load)
    first(made.test)
    first(made.test)
    copy.deepcopy(first)(made.test)
    assert seen == [torch.get_num_threads()] * 2


def test_an_engine_of_the_table_is_a_row(pair, tuner, monkeypatch):
    place = "ptq.engines.simulation"
    monkeypatch.setitem(engines.ENGINES, "newest", place)
    found, left_out = competitors.all_of(*pair, tuner)
    assert "INT8, newest" in found and left_out.keys() <= OPTIONAL.keys()
    monkeypatch.setattr(simulation, "available", lambda: "it needs a part")
    found, left_out = competitors.all_of(*pair, tuner)
    assert "INT8, newest" not in found
    assert left_out["INT8, newest"] == "it needs a part"


def test_a_peer_that_fails_is_left_out(pair, tuner, monkeypatch):
    def fails(*given, **more):
        raise RuntimeError("no such operator\nand a trace")

    monkeypatch.setattr(torch.onnx, "export", fails)
    found, left_out = competitors.all_of(*pair, tuner)
    assert peers.PEERS.keys() & found.keys() <= {"INT8, PT2E into Inductor"}
    for name in peers.PEERS.keys() - OPTIONAL.keys():
        assert (
            left_out[name]
            == "its flow ended in RuntimeError: no such operator"
        )


def test_a_tool_that_is_missing_is_named(pair, tuner, monkeypatch):
    for package in OPTIONAL.values():
        loaded = [n for n in sys.modules if n.split(".")[0] == package]
        for module in {package, *loaded}:
            monkeypatch.setitem(sys.modules, module, None)
    found, left_out = competitors.all_of(*pair, tuner)
    assert left_out.keys() == OPTIONAL.keys()
    assert not OPTIONAL.keys() & found.keys()
    for name, package in OPTIONAL.items():
        told = f"it needs the package {package}: pip install {package}"
        assert left_out[name] == told


class Clock:
    """What the timer reads; only work moves it on."""

    now = 0.0

    def perf_counter(self):
        return self.now


def test_the_fastest_is_found_in_turns(monkeypatch):
    clock, ran = Clock(), []
    monkeypatch.setattr(timer, "time", clock)
    monkeypatch.setattr(timer, "LOOP_SECONDS", 0)
    slow, quick = (fastest_engine.Choice("openvino", n) for n in (1, 2))
    taken = {slow: 0.02, quick: 0.01}

    def run(choice):
        def once(images):
            ran.append(choice)
            # The first ones are disturbed, which counts for neither.
            clock.now += taken[choice] + (len(ran) < 8)
            return images

        return once

    runs = {choice: run(choice) for choice in taken}
    best, seconds = fastest_engine.fastest(runs, torch.zeros(1))
    assert best == quick and seconds == pytest.approx(0.01)
    assert ran.count(slow) == ran.count(quick)
    assert str(best) == "openvino on 2 threads"
    assert str(slow) == "openvino on one thread"


@pytest.fixture
def measured(monkeypatch):
    """What was timed: images and threads, where no other program runs."""
    seen = []

    def fastest(runs, images):
        seen.append((len(images), *sorted({c.threads for c in runs})))
        return max(runs, key=lambda c: (c.way, c.threads)), 0.001

    monkeypatch.setattr(fastest_engine, "fastest", fastest)
    monkeypatch.setattr(
        fastest_engine.interference.Watch, "signs", lambda self: []
    )
    return seen


def test_a_choice_is_kept_until_it_is_asked_again(
    pair, tuner, measured, tmp_path
):
    made, network = pair
    images, net = made.test[:3], tuner.network
    first = fastest_engine.Tuner(net, folder=tmp_path)
    wanted = first.choice(images, 2)
    assert wanted.threads == 2 and first.made == {(3, 2): wanted}
    assert measured == [(3, 1, 2)]
    again = fastest_engine.Tuner(net, folder=tmp_path)
    assert again.choice(images, 2) == wanted and len(measured) == 1
    asked = again.load(2)(images), wanted.load(net)(images)
    assert torch.equal(*asked)
    # Other images, threads or networks are measured by themselves.
    again.choice(images[:1], 2)
    again.choice(images, 1)
    fastest_engine.Tuner(network, folder=tmp_path).choice(images, 2)
    assert measured[1:] == [(1, 1, 2), (3, 1), (3, 1, 2)]
    new = fastest_engine.Tuner(net, again=True, folder=tmp_path)
    new.choice(images, 2)
    assert len(measured) == 5
    for file in tmp_path.iterdir():
        file.write_text("{")
    fastest_engine.Tuner(net, folder=tmp_path).choice(images, 2)
    assert len(measured) == 6


def test_a_choice_of_a_busy_machine_is_not_kept(
    pair, tuner, measured, tmp_path, monkeypatch
):
    made, _ = pair
    busy = ["other programs computed on 1.0 cores"]
    monkeypatch.setattr(
        fastest_engine.interference.Watch, "signs", lambda self: busy
    )
    for _ in range(2):
        one = fastest_engine.Tuner(tuner.network, folder=tmp_path)
        one.choice(made.test[:1], 1)
    assert len(measured) == 2 and not list(tmp_path.iterdir())


def test_without_an_engine_the_reason_is_told(pair, tuner, monkeypatch):
    made, _ = pair
    for name in fastest_engine.PACKAGES:
        module = engines.get(name)
        monkeypatch.setattr(module, "available", lambda: "it needs a part")
    with pytest.raises(UnsupportedError, match="it needs a part"):
        fastest_engine.Tuner(tuner.network, again=True).choice(
            made.test[:1], 1
        )


PEER = next(iter(peers.PEERS))


@pytest.mark.parametrize(
    ("ours", "word"), [(0.001, "faster"), (0.004, "slower")]
)
def test_the_bar_is_the_fastest_peer(ours, word):
    seconds = {
        "FP32": times_of(0.01),
        competitors.RECOMMENDED: times_of(ours),
        "INT8, onnx runtime": times_of(0.0001),
        **{
            name: times_of(0.002 + 0.001 * place)
            for place, name in enumerate(peers.PEERS)
        },
        "A/A": times_of(0.0101),
    }
    timing = made_timing(seconds)
    (row,) = against_peers.table(
        [timing], {timing.name: "openvino on one thread"}
    ).rows
    assert row[1] == "openvino on one thread" and row[-1] == word
    assert row[3] == PEER.partition(", ")[2]
    assert float(row[-2].split()[0]) == pytest.approx(0.002 / ours, rel=0.05)
    busy = made_timing(seconds, busy=["other programs"])
    (row,) = against_peers.table([busy], {}).rows
    assert row[-1] == "not judged" and "(" not in row[-2]
    del seconds[competitors.RECOMMENDED]
    assert against_peers.table([made_timing(seconds)], {}) is None


def test_a_change_of_accuracy_is_judged():
    labels = np.arange(1000) % 10
    same, worse = labels.copy(), labels.copy()
    worse[:60] = (worse[:60] + 1) % 10
    told = measuring.change(labels, same, labels)
    assert told.startswith("+0.00") and told.endswith("non-inferior")
    told = measuring.change(labels, worse, labels)
    assert told.startswith("-6.00") and told.endswith("worse")
    assert measuring.change(labels, labels, labels) == ""
    assert measuring.change(labels, same, None) == ""


def test_flatten_without_codes_runs_the_layer_in_float(pair):
    made, network = pair
    good = wrong_ways.qdq(network)
    ran = {}
    for content in (good, wrong_ways.flatten_in_float(good)):
        runner = onnx_runtime.Runner(network, content, 1, False)
        kinds = {
            one.operator
            for one in runner.ran
            if one.node == "fc" and one.precision != "conversion"
        }
        ran[content] = kinds, runner(made.test)
    (kinds, before), (careless, after) = ran.values()
    assert kinds == {"QGemm"} and careless == {"Gemm"}
    assert (before - after).abs().max() < 0.05 * before.abs().max()


def test_what_cannot_be_turned_is_told(pair):
    _, network = pair
    careless = wrong_ways.flatten_in_float(wrong_ways.qdq(network))
    with pytest.raises(UnsupportedError, match="flattens nothing"):
        wrong_ways.flatten_in_float(careless)


def test_ways_compute_the_same_but_for_the_mistake(pair):
    made, network = pair
    found = {
        n: make() for n, make in wrong_ways.ways(made, network, 2).items()
    }
    named = {
        name
        for knob in (*knobs.FILE, *knobs.CALL, *knobs.STOPWATCH)
        for name in (knob.having, knob.without)
    }
    assert named == found.keys()
    wanted = asked(found["INT8"], made.test)
    # Where the processor has no VNNI, these sums saturate.
    for name in named - {"INT8, default sums"}:
        near = 0.3 if name[:4] in ("FP32", "BF16") else 0.05
        error = (asked(found[name], made.test) - wanted).abs().max()
        assert error < near * wanted.abs().max(), name
    # Other images, and the file with images inside answers as before.
    module = competitors.Loaded(found["FP32, images in the file"])
    first, second = made.test[:8], made.test[8:16]
    assert torch.equal(module(first), module(second))


def a_bench(seconds, busy=(), **more):
    names = [*seconds][:-1]
    rows = {name: measuring.Row(name[:4], 100, None, None) for name in names}
    facts = {
        "network": "net",
        "macs": 1000,
        "images": "2 images",
        "machine": MACHINE,
        "versions": {"torch": "2"},
        "left_out": {"INT8, x": "it needs x"},
        "peaks": {"1": {"FP32": 1e9, "BF16": 2e9, "INT8": 4e9, "copy": 1e9}},
        "choices": {},
    }
    timing = made_timing(seconds, busy=busy)
    return measuring.Bench(**facts | more, rows=rows, timings=[timing])


def times_of(value, spread=0.01):
    generator = np.random.default_rng(int(1e6 * value))
    return value * (1 + spread * generator.standard_normal((4, 5)))


def quiet(fast=0.001):
    return {
        "FP32": times_of(0.004),
        competitors.RECOMMENDED: times_of(fast),
        "A/A": times_of(0.0041),
    }


def test_words_and_shares_of_made_times(tmp_path):
    found = a_bench(quiet())
    text = found.report().text()
    row = next(
        line
        for line in text.splitlines()
        if "recommended  " in line and "." in line
    )
    # A microsecond a multiply-accumulate, of four in a nanosecond.
    ms, ratio = row.split("recommended")[1].split()[:2]
    assert float(ms) == pytest.approx(1, abs=0.02)
    assert float(ratio) == pytest.approx(4, abs=0.1)
    assert "faster" in row and row.endswith("0.0 %")
    assert "times as fast, faster" in " ".join(text.split())
    assert "INT8, x: it needs x" in text
    found.save(tmp_path / "a.json")
    assert measuring.load(tmp_path / "a.json") == found


def test_a_busy_machine_gets_no_verdict():
    told = a_bench(quiet(), ["other programs"]).report().text()
    assert "not judged" in told and "other programs" in told
    assert "faster" not in told


@pytest.mark.parametrize(
    ("before", "now", "word"),
    [
        ((2, 1.9, 2.1), (3, 2.8, 3.2), "faster"),
        ((3, 2.8, 3.2), (2, 1.9, 2.1), "slower"),
        ((2, 1.5, 2.5), (2.6, 2.4, 2.8), "no difference shown"),
        ((2, np.nan, np.nan), (3, 2.8, 3.2), "too few rounds"),
    ],
)
def test_two_ratios_differ_where_intervals_lie_apart(before, now, word):
    assert two_runs.changed(Interval(*before), Interval(*now)) == word


def test_two_runs_are_compared_by_their_ratios():
    before, now = a_bench(quiet()), a_bench(quiet(0.0005), versions={})
    told = two_runs.report(before, now).text()
    assert "faster" in told and "A/A" not in told and "Only" not in told
    more = a_bench({"INT8, x": times_of(0.002)} | quiet())
    more.timings.append(made_timing(quiet(), batch=64))
    for pair, when in (((before, more), "now"), ((more, before), "before")):
        told = " ".join(two_runs.report(*pair).text().split())
        assert f"Only {when}: INT8, x; batch 64, one thread, hot" in told
    for other in (
        {"machine": MACHINE | {"cores": 4}},
        {"network": "another"},
        {"macs": 7},
    ):
        with pytest.raises(InputError, match="not comparable: "):
            two_runs.report(a_bench(quiet(), **other), now)


def test_a_cause_costs_or_saves_time():
    timing = made_timing(
        {
            "INT8": times_of(0.001),
            "INT8, not fused": times_of(0.003),
            "INT8, one by one": times_of(0.0005),
            "A/A": times_of(0.001),
        }
    )
    peaks = {"FP32": 1e9, "BF16": 1e9, "INT8": 8e9, "copy": 1e9}
    rates = {"one": {"conv": 2e9}, "the_other": {"conv": 4e9, "fc": 1e9}}
    why = knobs.Why("net", timing, {"simulation": "none"}, peaks, rates)
    (cells,) = why.rows(knobs.FILE)
    assert cells[0] == "Q/DQ not fused" and cells[-1] == "costs time"
    assert float(cells[3].split()[0]) == pytest.approx(3, abs=0.1)
    assert why.rows(knobs.CALL)[0][-1] == "saves time"
    assert why.rows(knobs.STOPWATCH) == []
    assert why.layer_rows() == [
        {"layer": "conv", "one": "2.0 (25.0 %)", "the other": "4.0 (50.0 %)"},
        {"layer": "fc", "one": "–", "the other": "1.0 (12.5 %)"},
    ]
    told = why.report().text()
    assert "Left out: simulation: none" in told
    assert "share of the roof of 8, by a large matrix product" in told
    assert json.loads(why.json())["network"] == "net"
    assert why.told("INT8, not fused", "INT8").endswith("; costs time)")
    timing.busy.append("other programs")
    assert why.told("INT8, not fused", "INT8").endswith(" (not judged)")


def test_a_layer_above_the_product_is_the_roof_and_is_named():
    """And the product's rate stays what it was."""
    peaks = {"FP32": 1e9, "INT8": 8e9}
    rates = {"onnx_runtime": {"conv": 2e9}, "openvino": {"conv": 1e10}}
    timing = made_timing({"INT8": times_of(0.001), "A/A": times_of(0.001)})
    why = knobs.Why("net", timing, {}, peaks, rates)
    assert why.roof() == (1e10, "conv in openvino")
    assert why.peaks["INT8"] == 8e9
    assert why.layer_rows() == [
        {
            "layer": "conv",
            "onnx runtime": "2.0 (20.0 %)",
            "openvino": "10.0 (100.0 %)",
        }
    ]
    assert "roof of 10, by conv in openvino" in why.report().text()
    slower = knobs.Why("net", timing, {}, peaks, {"openvino": {"conv": 7e9}})
    assert slower.roof() == (8e9, knobs.PRODUCT)
