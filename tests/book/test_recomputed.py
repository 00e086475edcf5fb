"""The book's statistics, computed again another way, from its own data.

Other formulas, by hand or by another function of scipy, on the records of
a run and on the committed references.
"""

import itertools
import json
import math
import operator
import statistics
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ptq import paths
from ptq.book import claims, tables
from ptq.book.pages import frontpage, kept_runs, strategy_answer
from ptq.evidence import intervals, replicates, time_ratios
from ptq.experiment import (
    committed_sweeps,
    comparison,
    factors,
    results,
    strategies,
)
from ptq.networks import compact_cnn

Z = 1.959963984540054
RUNS = kept_runs.load()


def by_hand_holm(p_values):
    """Each p times the number not smaller than it, never decreasing."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1, p_values[i] * (len(order) - rank)))
        adjusted[i] = largest
    return adjusted


def wilson(correct, n):
    share = correct / n
    middle = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    root = math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    half = Z * root / (1 + Z**2 / n)
    return middle - half, middle + half


def mcnemar(lost, gained):
    """Two-sided exact binomial test, by sums of binomial coefficients."""
    n, few = lost + gained, min(lost, gained)
    tail = sum(math.comb(n, k) for k in range(few + 1)) / 2**n
    return min(1.0, 2 * tail)


def least_shown(changed, n, rows):
    """Least change of accuracy with p below 5 % by the number of rows."""
    shown = [
        abs(changed - 2 * few) / n
        for few in range(changed // 2 + 1)
        if mcnemar(few, changed - few) < 0.05 / rows
    ]
    return min(shown, default=np.inf)


def glued(notebook, name):
    """What an executed chapter keeps under this name for its text."""
    text = notebook.read_text(encoding="utf8")
    return json.loads(text)["metadata"]["ptq"]["noted"][name]


@pytest.fixture(scope="module")
def committed():
    return comparison.load_comparison(paths.REFERENCE)


class TestComparison:
    def test_accuracy_and_its_interval(self, committed):
        for row in committed.itertuples():
            assert row.accuracy == row.correct / row.n
            found = (row.accuracy_low, row.accuracy_high)
            assert found == pytest.approx(wilson(row.correct, row.n))

    def test_change_and_its_interval(self, committed):
        base = committed.correct.iloc[0]
        for row in committed.itertuples():
            assert row.gained - row.lost == row.correct - base
            a, b, n = row.lost + 1, row.gained + 1, row.n + 2
            half = Z * math.sqrt(a + b - (a - b) ** 2 / n) / n
            known = ((b - a) / n - half, (b - a) / n + half)
            found = (row.change_low, row.change_high)
            assert found == pytest.approx(known, rel=1e-9)

    def test_p_values_and_verdicts(self, committed):
        others = committed.iloc[1:]
        known = [mcnemar(r.lost, r.gained) for r in others.itertuples()]
        assert others.p.tolist() == pytest.approx(known)
        adjusted = by_hand_holm(known)
        assert others.p_holm.tolist() == pytest.approx(adjusted)
        for row, p in zip(others.itertuples(), adjusted, strict=True):
            if p < 0.05:
                word = "better" if row.gained > row.lost else "worse"
            elif row.change_low > -0.005:
                word = "non-inferior"
            else:
                word = "no difference shown"
            assert row.verdict == word

    def test_what_could_have_been_shown(self, committed):
        for row in committed.iloc[1:].itertuples():
            changed = row.lost + row.gained
            least = least_shown(changed, row.n, len(committed) - 1)
            assert row.detectable == pytest.approx(least)
            # What is as large needs no other row to be called by a word.
            if abs(row.change) >= row.detectable:
                assert row.verdict in ("better", "worse")

    def test_no_change_beyond_the_disagreement(self, committed):
        change = (committed.correct - committed.correct.iloc[0]).abs()
        assert (change / committed.n <= committed.disagreement + 1e-12).all()
        flips = (committed.lost + committed.gained) / committed.n
        assert (flips <= committed.disagreement + 1e-12).all()


class TestRun:
    def test_records_say_what_the_table_says(self, quick_run, cifar):
        frame = comparison.load_comparison(quick_run)
        records = {
            p.stem: results.load_record(p)
            for p in (quick_run / "records").glob("*.json")
        }
        bare = records["fp32"].predictions
        labels = cifar.test_labels.numpy()[: len(bare)]
        for name, row in frame.iterrows():
            found = records[name].predictions
            table = pd.crosstab(bare == labels, found == labels)
            table = table.reindex([False, True], axis=0, fill_value=0)
            table = table.reindex([False, True], axis=1, fill_value=0)
            assert row.lost == table.loc[True, False]
            assert row.gained == table.loc[False, True]
            assert row.correct == table[True].sum()
            assert row.disagreement == np.mean(found != bare)
            if name != "fp32":
                changed = row.lost + row.gained
                least = least_shown(changed, row.n, len(frame) - 1)
                assert row.detectable == pytest.approx(least)
            assert row.file_bytes >= row.payload_bytes

    def test_times_and_ratios(self, quick_run):
        frame = comparison.load_comparison(quick_run)
        for prefix, title in (
            ("", "batch64-threads1-hot"),
            ("single_", "batch1-threads1-hot"),
            ("cold_", "batch1-threads1-cold"),
        ):
            path = quick_run / "timings" / f"{title}.json"
            timing = results.load_timing(path)
            for name, row in frame.iterrows():
                every = [t for rounds in timing.seconds[name] for t in rounds]
                middle = 1e3 * statistics.median(every) / timing.batch
                assert row[f"{prefix}milliseconds"] == pytest.approx(middle)
                pairs = zip(
                    timing.seconds["fp32"], timing.seconds[name], strict=True
                )
                ratios = [
                    statistics.median(map(operator.truediv, *pair))
                    for pair in pairs
                ]
                ratio = statistics.geometric_mean(ratios)
                assert row[f"{prefix}speedup"] == pytest.approx(ratio)
                # Three rounds are too few, whatever the machine did.
                assert math.isnan(row[f"{prefix}speedup_low"])
                if name != "fp32":
                    assert row[f"{prefix}time_verdict"] in (
                        "not judged",
                        "too few rounds",
                    )

    def test_shares_of_the_speedup_add_up_by_logarithms(self, quick_run):
        path = quick_run / "timings" / "batch64-threads1-hot.json"
        timing = results.load_timing(path)
        names = ("fp32", "fp32_folded", "fp32_channels_last", "folded")
        (rounds,) = zip(*(timing.seconds[n] for n in names), strict=True)
        steps = [
            statistics.median(
                math.log(a / b) for a, b in zip(*pair, strict=True)
            )
            for pair in itertools.pairwise(rounds)
        ]
        whole = sum(steps)
        found = time_ratios.decomposition([timing.of(name) for name in names])
        known = [step / whole for step in steps]
        assert [share.value for share in found] == pytest.approx(known)

    def test_best_of_equals_by_binomial_draws(self, quick_run, cifar):
        chapter = quick_run / "chapters" / "06_comparison.ipynb"
        labels = cifar.test_labels.numpy()
        right = {}
        for name in comparison.load_comparison(quick_run).index:
            path = quick_run / "records" / f"{name}.json"
            found = results.load_record(path).predictions
            right[name] = (found == labels[: len(found)]).astype(int)
        base = right.pop("fp32")
        # Images that the same strategies lost or gained share a draw.
        alike = Counter(zip(*(r - base for r in right.values()), strict=True))
        rng = np.random.default_rng(7)
        totals = sum(
            np.outer(2 * rng.binomial(n, 0.5, 50_000) - n, pattern)
            for pattern, n in alike.items()
        )
        best = totals.max(axis=1)
        error = best.std() * math.sqrt(1 / len(best) + 1 / 10_000)
        assert abs(glued(chapter, "winner") - best.mean()) < 4 * error
        edge = glued(chapter, "winner_95")
        assert np.mean(best > edge) < 0.06 and np.mean(best >= edge) > 0.04
        seen = max(r.sum() for r in right.values()) - base.sum()
        assert glued(chapter, "seen") == seen


@pytest.fixture(scope="module")
def replication():
    return committed_sweeps.load("replication")[0]


ORIGIN = {
    "machine": {"processor": "this processor", "features": [], "torch": "1"},
    "finished": "2026-01-02T03:04:05Z",
    "commit": "abc",
}


class TestReplication:
    def test_is_complete(self, replication):
        names = set(strategies.STRATEGIES)
        for _, found in replication.groupby(["train_seed", "seed"]):
            assert set(found.strategy) == names and len(found) == len(names)
        assert replication.train_seed.nunique() >= 5

    def test_drops_and_their_intervals(self, replication):
        changes = replicates.paired_differences(replication)
        seeds = sorted(replication.train_seed.unique())
        for name in changes:
            known = []
            for seed in seeds:
                one = replication[replication.train_seed == seed]
                values = one[one.strategy == name].correct
                base = one[one.strategy == "fp32"].correct
                known.append((values.mean() - base.mean()) / 10_000)
            assert changes[name].tolist() == pytest.approx(known)
            if np.ptp(known) == 0:
                continue
            quantile = stats.t.ppf(0.975, len(seeds) - 1)
            half = quantile * stats.sem(known)
            found = intervals.mean(np.array(known))
            assert found.high - found.value == pytest.approx(half)
            assert found.value - found.low == pytest.approx(half)

    def test_orderings_are_paired_t_tests(self, replication):
        changes = replicates.paired_differences(replication)
        pairs = claims.paper.published_orderings()
        found = replicates.orderings(changes, pairs)
        known = [
            stats.ttest_rel(changes[a], changes[b]).pvalue for a, b in pairs
        ]
        p_values = [order.p for order in found.values()]
        assert p_values == pytest.approx(known)
        adjusted = [order.p_holm for order in found.values()]
        assert adjusted == pytest.approx(by_hand_holm(known))

    def test_one_more_training_by_its_formula(self, replication):
        fp32 = replication[replication.strategy == "fp32"]
        shares = fp32.groupby("train_seed").accuracy.mean()
        n, middle = len(shares), shares.mean()
        spread = math.sqrt(((shares - middle) ** 2).sum() / (n - 1))
        half = stats.t.ppf(0.975, n - 1) * spread * math.sqrt(1 + 1 / n)
        found = intervals.prediction_interval(
            claims.rules.per_training(replication, "fp32")
        )
        known = (middle - half, middle + half)
        assert (found.low, found.high) == pytest.approx(known)

    def test_same_ranking_is_friedmans_formula(self, replication):
        changes = replicates.paired_differences(replication)
        names = [
            n
            for n in changes
            if not n.startswith("fp32") and n != "bias_correction_published"
        ]
        ranks = stats.rankdata(changes[names], axis=1)
        n, k = ranks.shape
        square = 12 / (n * k * (k + 1)) * (ranks.sum(axis=0) ** 2).sum()
        square -= 3 * n * (k + 1)
        found = replicates.friedman(changes[names])
        assert found == pytest.approx(stats.chi2.sf(square, k - 1))

    def test_front_page_advises_floats_where_they_are_fastest(
        self, replication, committed
    ):
        quick = committed.copy()
        name = "fp32_channels_last"
        columns = ["speedup", "speedup_low", "speedup_high"]
        quick.loc[name, columns] = [90.0, 89.0, 91.0]
        quick.loc[name, "milliseconds"] = 0.001
        sweep = committed_sweeps.load("replication")[1]
        for frame, word in ((quick, "Stay"), (committed, "Use")):
            text = strategy_answer.answer(
                frame, replication, sweep, ORIGIN, RUNS
            )
            assert text.startswith(f"**{word}**")

    def test_front_page_says_what_the_tables_say(
        self, replication, committed
    ):
        sweep = committed_sweeps.load("replication")[1]
        text = strategy_answer.answer(
            committed, replication, sweep, ORIGIN, RUNS
        )
        text = text.replace("\u2212", "-")
        label = text.split("(row *")[1].split("* of the table")[0]
        (name,) = committed.index[committed.label == label]
        row = committed.loc[name]
        changes = replicates.paired_differences(replication)
        quantile = stats.t.ppf(0.975, len(changes) - 1)
        half = quantile * stats.sem(changes)
        low, high = (
            dict(zip(changes, changes.mean() + sign * half, strict=True))
            for sign in (-1, 1)
        )
        mean = 100 * changes[name].mean()
        assert (f"{mean:+.2f} points on average" in text) == (high[name] > 0)
        interval = f"{100 * low[name]:+.2f} to {100 * high[name]:+.2f}"
        assert f"95 % interval {interval}," in text
        assert f"worst training {100 * changes[name].min():+.2f}" in text
        for prefix in ("", "single_", "cold_", "cores_", "cores_single_"):
            names = ("speedup", "speedup_low", "speedup_high")
            value, low_, high_ = (row[prefix + name] for name in names)
            assert f"{value:.2f} ({low_:.2f}–{high_:.2f}) times" in text
            low_, high_ = (
                row[f"{prefix}milliseconds_{q}"] for q in ("q1", "q3")
            )
            wide = f"half of its times lie from {low_:.3f} to {high_:.3f}"
            assert (wide in text) == (high_ > 1.25 * low_)
        little = "expect little of it where images come one at a time"
        assert (little in text) == (row.single_speedup < 2)
        assert low[name] > -0.005
        # Whatever is shown to be faster loses too much.
        faster = committed.index[committed.speedup_low > row.speedup_high]
        assert all(low[other] <= -0.005 for other in faster)

    def test_front_page_tells_what_floats_reach_with_their_interval(
        self, replication, committed
    ):
        sweep = committed_sweeps.load("replication")[1]
        text = strategy_answer.answer(
            committed, replication, sweep, ORIGIN, RUNS
        )
        row = committed.loc["fp32_channels_last"]
        told = f"{row.speedup:.2f} ({row.speedup_low:.2f}–"
        assert told in text.split("without integers")[1].split("\n")[0]

    def test_front_page_judges_accuracy_over_trainings(
        self, replication, committed
    ):
        """Each row's verdict, corrected as chapter 8 does."""
        changes = replicates.paired_differences(replication)
        twin, integers = "bias_correction_published", []
        for name in changes:
            if name != twin and not name.startswith("fp32"):
                integers.append(name)
        known = by_hand_holm(
            [stats.ttest_1samp(changes[n], 0).pvalue for n in integers]
        )
        half = stats.t.ppf(0.975, len(changes) - 1) * stats.sem(changes)
        low = changes.mean() - half
        page = tables.networks.front_page(committed, changes)
        page = page.set_index("strategy")
        told = page[f"accuracy over {len(changes)} trainings"]
        assert told.iloc[0] == "reference"
        for name, p in zip(integers, known, strict=True):
            word = "no difference shown"
            if p < 0.05:
                word = "better" if changes[name].mean() > 0 else "worse"
            elif low[name] > -0.005:
                word = "non-inferior"
            assert told[committed.label[name]] == word
        assert told[committed.label[twin]] == told[committed.label["naive"]]
        text = frontpage.which_differ(committed, changes)
        for word, found in told.iloc[1:].groupby(told.iloc[1:], sort=False):
            assert f"*{word}*: {', '.join(found.index)}" in text
        other = (told.to_numpy() != committed.verdict.to_numpy()).sum()
        assert f"another word in {other} of {len(told) - 1} rows" in text


@pytest.fixture(scope="module")
def cells():
    frame = committed_sweeps.load("factorial")[0]
    return replicates.cells(frame, factors.FACTORS)


class TestFactorial:
    def test_is_full(self, cells):
        counts = cells.groupby(["train_seed", *factors.FACTORS]).size()
        assert (counts == 1).all()
        assert len(counts) == 128 * cells.train_seed.nunique()

    @pytest.mark.parametrize("response", ["accuracy", "disagreement"])
    def test_effects_equal_least_squares_on_all_terms(self, cells, response):
        table = replicates.effects(cells, factors.FACTORS, response)
        signs = {
            name: np.where(cells[name] == high, 0.5, -0.5)
            for name, (_, high) in factors.FACTORS.items()
        }
        columns = [
            np.prod([2 * signs[n] for n in term.split(" × ")], axis=0) / 2
            for term in table.index
        ]
        blocks = pd.get_dummies(cells.train_seed).to_numpy(float)
        design = np.column_stack([*columns, blocks])
        solved, *_ = np.linalg.lstsq(design, cells[response], rcond=None)
        known = solved[: len(columns)]
        np.testing.assert_allclose(table["value"], known, atol=1e-10)
        assert table.p_holm.tolist() == pytest.approx(
            by_hand_holm(table.p.tolist())
        )

    @pytest.mark.parametrize("response", ["accuracy", "disagreement"])
    def test_intervals_of_effects_are_over_trainings(self, cells, response):
        table = replicates.effects(cells, factors.FACTORS, response)
        for term in ("bits", "folded × observer"):
            on = np.ones(len(cells), dtype=bool)
            for name in term.split(" × "):
                # Both high or both low is the high level of the product.
                on ^= (cells[name] != factors.FACTORS[name][1]).to_numpy()
            per_training = [
                rows[response][on[cells.train_seed == seed]].mean()
                - rows[response][~on[cells.train_seed == seed]].mean()
                for seed, rows in cells.groupby("train_seed")
            ]
            known = stats.ttest_1samp(per_training, 0)
            interval = known.confidence_interval()
            row = table.loc[term]
            assert row.p == pytest.approx(known.pvalue)
            assert (row.low, row.high) == pytest.approx(tuple(interval))


@pytest.fixture(scope="module")
def calibrations():
    return committed_sweeps.load("calibration")[0]


class TestCalibration:
    def test_is_complete(self, calibrations):
        counts = calibrations.groupby(
            ["source", "images", "observer"]
        ).seed.nunique()
        assert len(counts) == 4 * 5 * 3
        assert (counts >= 50).all()
        assert set(calibrations.source) == set(factors.SOURCES)

    def test_batches_of_one_make_no_moving_average(self, calibrations):
        draw = ["seed", "source", "images"]
        few = calibrations[calibrations.images <= factors.BATCH]
        few = few.set_index([*draw, "observer"]).predictions.unstack()
        assert (few.minmax == few.moving_average).all()

    def test_safe_sizes_and_shares_by_counting(
        self, calibrations, replication
    ):
        shipped = replication[replication.train_seed == 42]
        base = shipped.accuracy[shipped.strategy == "fp32"].iloc[0]
        frame = calibrations.assign(change=calibrations.accuracy - base)
        groups = frame.groupby(["observer", "source"])
        for _, found in groups:
            bad = Counter(found.images[found.change <= -0.005])
            draws = found.seed.nunique()
            sizes = [
                n
                for n in factors.SIZES
                if wilson(draws - bad[n], draws)[0] >= 0.85
            ]
            assert replicates.safe_sizes(found) == sizes
            safe = replicates.safe_share(found.change.to_numpy())
            kept = sum(change > -0.005 for change in found.change)
            known = wilson(kept, len(found))
            assert (safe.low, safe.high) == pytest.approx(known, abs=1e-9)

    def test_spread_by_simulation(self, calibrations):
        found = calibrations[
            (calibrations.source == "training")
            & (calibrations.images == 8)
            & (calibrations.observer == "minmax")
        ].accuracy.to_numpy()
        interval = replicates.standard_deviation(found)
        drawn = np.random.default_rng(3).normal(
            0, interval.low, (20_000, len(found))
        )
        beyond = np.mean(drawn.std(axis=1, ddof=1) > interval.value)
        assert beyond == pytest.approx(0.025, abs=0.005)

    def test_more_images_and_other_images_by_formula(
        self, calibrations, quick_run
    ):
        chapter = quick_run / "chapters" / "07_calibration.ipynb"
        table = calibrations[calibrations.observer == "minmax"]
        columns = {
            key: found.sort_values("seed").accuracy.to_numpy()
            for key, found in table.groupby(["source", "images"])
        }
        more = columns["training", 1000] - columns["training", 8]
        half = stats.t.ppf(0.975, len(more) - 1) * stats.sem(more)
        middle = more.mean()
        known = np.array([middle, middle - half, middle + half])
        assert glued(chapter, "trend_by") == pytest.approx(100 * known)
        a, b = columns["training", 100], columns["validation", 100]
        parts = [np.var(x, ddof=1) / len(x) for x in (a, b)]
        # Welch and Satterthwaite's degrees of freedom.
        free = sum(parts) ** 2 / sum(v**2 / (len(a) - 1) for v in parts)
        half = stats.t.ppf(0.975, free) * math.sqrt(sum(parts))
        middle = b.mean() - a.mean()
        known = np.array([middle, middle - half, middle + half])
        assert glued(chapter, "fitted_by") == pytest.approx(100 * known)

    def test_deviations_over_draws_by_squares(self, calibrations, quick_run):
        chapter = quick_run / "chapters" / "07_calibration.ipynb"
        table = calibrations[
            (calibrations.observer == "minmax")
            & (calibrations.source == "training")
        ]
        for name, count in (("few", 8), ("hundred", 100), ("many", 1000)):
            found = table.accuracy[table.images == count]
            square = (found**2).mean() - found.mean() ** 2
            known = math.sqrt(square * len(found) / (len(found) - 1))
            assert glued(chapter, name) == pytest.approx(
                100 * known, rel=1e-4
            )

    def test_luck_of_a_contest_by_pairs_of_draws(self, quick_run):
        chapter = quick_run / "chapters" / "07_calibration.ipynb"
        table = committed_sweeps.load("replication")[0]
        wide = table.pivot(
            index=["train_seed", "seed"],
            columns="strategy",
            values="accuracy",
        )
        apart = (wide.folded - wide.naive).unstack()
        # A variance is half the mean square of the differences of pairs.
        squares = [
            (apart[a] - apart[b]) ** 2 / 2
            for a, b in itertools.combinations(apart, 2)
        ]
        known = 100 * math.sqrt(np.mean(squares))
        assert glued(chapter, "luck") == pytest.approx(known)

    def test_worse_on_one_network_and_not_shown_over_trainings(
        self, calibrations, quick_run
    ):
        chapter = quick_run / "chapters" / "07_calibration.ipynb"
        words = shown(chapter, "spread").verdict
        assert glued(chapter, "worse_rows") == (words == "worse").sum()
        usual = calibrations[
            (calibrations.observer == "minmax")
            & (calibrations.source == "training")
            & (calibrations.images == 100)
        ]
        known = 100 * (usual.accuracy.mean() - 0.7165)
        assert glued(chapter, "here")[0] == pytest.approx(known)
        table = committed_sweeps.load("replication")[0]
        wide = table.pivot_table("accuracy", "train_seed", "strategy")
        seeds = 100 * (wide.folded - wide.fp32)
        trained = glued(chapter, "trained")[0]
        assert trained == pytest.approx(seeds.mean())
        drawn = np.random.default_rng(3).normal(
            glued(chapter, "missed"), seeds.std(), (4000, len(seeds))
        )
        found = stats.ttest_1samp(drawn, 0, axis=1).pvalue < 0.05
        assert found.mean() == pytest.approx(0.8, abs=0.02)


def shown(notebook, table):
    """A table that an executed chapter shows, as text."""
    cells = json.loads(notebook.read_text(encoding="utf8"))["cells"]
    (text,) = (
        "".join(output["data"]["text/markdown"])
        for cell in cells
        for output in cell.get("outputs", [])
        if f":name: tab-{table}\n"
        in "".join(output.get("data", {}).get("text/markdown", ""))
    )
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    return pd.DataFrame(rows[2:], columns=rows[0])


@pytest.fixture
def chapter(quick_run):
    return quick_run / "chapters" / "09_what_holds.ipynb"


class TestVerdicts:
    def test_tally_counts_what_could_be_otherwise(self, chapter):
        words = [
            *shown(chapter, "numbers").verdict,
            *shown(chapter, "claims").verdict,
        ]
        open_ = {claims.rules.BY_DEFINITION, claims.rules.NOT_COMPARABLE}
        known = Counter(word for word in words if word not in open_)
        told = glued(chapter, "tally").split(", ")
        assert sorted(told) == sorted(f"{n} {w}" for w, n in known.items())
        assert glued(chapter, "judged") == known.total()

    def test_accuracies_of_the_paper_beside_one_more_training(self, chapter):
        table = shown(chapter, "numbers").set_index("claim")
        trainings = committed_sweeps.load("replication")[0]
        for name, paper in claims.paper.published().items():
            rows = trainings[trainings.strategy == name]
            draws = rows[rows.seed == rows.seed.min()].accuracy
            half = stats.t.ppf(0.975, len(draws) - 1) * draws.std()
            half *= math.sqrt(1 + 1 / len(draws))
            low, high = draws.mean() - half, draws.mean() + half
            row = table.loc[f"{paper['label']}, top-1 (%)"]
            assert f"(one more: {100 * low:.1f} to {100 * high:.1f})" in (
                row.ours
            )
            inside = 100 * low <= paper["accuracy"] <= 100 * high
            assert row.verdict == (
                claims.rules.REPRODUCED
                if inside
                else claims.rules.CONTRADICTED
            )

    def test_price_of_mixed_precision_in_both_orders(
        self, chapter, quick_run
    ):
        slow, one, other, fast = rounds_of(
            quick_run,
            "mixed_precision_published",
            "mixed_precision_folded",
            "naive",
            "folded",
        )
        first = factor(slow, one), factor(one, fast)
        last = factor(slow, other), factor(other, fast)
        (ours,) = (
            text
            for text in shown(chapter, "claims").ours
            if "if that comes first" in text
        )
        share = 100 * first[0] / sum(first)
        assert ours.startswith(f"{share:.0f} % of it")
        share = 100 * last[1] / sum(last)
        assert f", {share:.0f} % if last" in ours


def rounds_of(run, *names):
    """Seconds of the one session of a quick run, for each network."""
    path = run / "timings" / "batch64-threads1-hot.json"
    seconds = results.load_timing(path).seconds
    return [session for name in names for session in seconds[name]]


def factor(slow, fast):
    """Logarithm of the median ratio of a round."""
    return statistics.median(
        math.log(a / b) for a, b in zip(slow, fast, strict=True)
    )


def test_factors_of_time_are_means_over_pairs(quick_run):
    named = {choice: name for name, choice in strategies.assigned().items()}
    assert len(named) == 32
    table = shown(
        quick_run / "chapters" / "05_mixed_precision.ipynb", "factors"
    )
    table = table.set_index("change")["time multiplied by"].astype(float)
    assert len(table) == 5
    for change, told in table.items():
        layer = change.split(" in float")[0]
        found = []
        for folded, kept in named:
            before = (True, kept) if "BN" in change else (folded, kept)
            after = (
                (False, kept)
                if "BN" in change
                else (
                    folded,
                    tuple(
                        n for n in compact_cnn.LAYERS if n in {*kept, layer}
                    ),
                )
            )
            if before != after and ("BN" not in change or folded):
                pair = named[after], named[before]
                found.append(factor(*rounds_of(quick_run, *pair)))
        assert len(found) == 16
        assert told == pytest.approx(math.exp(np.mean(found)), abs=0.006)
