"""Drawings of ideas: their numbers, their places, and that they are read."""

import itertools
import re

import numpy as np
import pytest
import torch
from inks import NIGHT, contrast
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Annotation

from ptq.book import drawings, style
from ptq.data import cifar10
from ptq.engines import eager_layers, torch_eager
from ptq.engines.saturating_sums import LARGEST
from ptq.evidence.paired_tests import Flips
from ptq.experiment import strategies
from ptq.graph import fold, module_outputs, trace
from ptq.measure import resources
from ptq.methods import eager_folding
from ptq.networks import compact_cnn, recipes
from ptq.quantizer import affine, grid_placement

MARGIN = 1.5  # pixels that two texts may not come closer than


def costs(network):
    modules = {n: getattr(network, n) for n in compact_cnn.LAYERS}
    weights = {n: module.weight.numel() for n, module in modules.items()}
    return {
        "weights": weights,
        "MACs": resources.macs(network, cifar10.SHAPE),
    }


def of_network(network, images):
    return drawings.networks.network(network, costs(network))


def observers(network, images):
    prepared = torch_eager.prepare(network)
    prepared(images)
    return drawings.networks.observers(
        prepared, torch_eager.observed(prepared)
    )


def rounding(network, *fuse):
    prepared = torch_eager.prepare(network, *fuse)
    return {n.removeprefix("module.") for n in torch_eager.observed(prepared)}


def one_box(network, images):
    folded = eager_folding.fold(network)
    return drawings.networks.folding(
        network.blocks[1],
        (network, folded),
        (rounding(network), rounding(folded, eager_folding.fusable(network))),
    )


def region(network, images):
    return drawings.networks.region(
        strategies.mixed_precision_published(network, images)
    )


def number_line(network, images):
    low, high = torch.tensor(-1.0), torch.tensor(2.0)
    grid = affine.affine_grid(low, high, 0, 7)
    return drawings.numbers.codes(torch.arange(-1.0, 4), grid)


def requantized(network, images):
    """One output of fc1, as an integer layer makes it."""
    naive = strategies.naive(network, images)
    scales = eager_layers.activation_scales(naive)
    (s_x, _), (s_y, z_y) = scales["bn2"], scales["fc1"]
    w, s_w = eager_layers.weight_codes(
        eager_layers.quantized_layers(naive)["fc1"]
    )
    x = module_outputs.capture(naive, ["module.pool2"], images[:1])
    q_x = torch.round(x["module.pool2"].flatten() / s_x).int()
    total = int((q_x * w[0].int()).sum())
    code = round(total * s_x * s_w / s_y) + z_y
    steps = (s_x, s_w, s_y)
    return drawings.numbers.Requantized(steps, len(q_x), total, z_y, code)


def requantization(network, images):
    return drawings.numbers.requantization(requantized(network, images))


def pair_sums(network, images):
    codes = {
        "8 bits": ([255, 255], [127, 127]),
        "7 bits, largest": ([127, 127], [127, 127]),
        "7 bits, smallest": ([127, 127], [-128, -128]),
    }
    pairs = {n: tuple(map(torch.tensor, pair)) for n, pair in codes.items()}
    return drawings.numbers.pair_sums(pairs, LARGEST)


def caches(network, images):
    return drawings.numbers.caches(
        {"Naive": 0.55, "Folded": 0.551, "FP32": 2.18},
        {"hot": 0.25, "cold": 0.5},
    )


def paired(network, images):
    flips = Flips(lost=210, gained=190, n=10_000, p=0.4)
    return drawings.numbers.paired(flips, 7165, ("FP32", "Naive"))


def graphs(network):
    """As traced, folded, and who owns the grids."""
    traced = trace(network, torch.rand(2, 3, 32, 32))
    folded = fold(traced)
    return traced, folded, grid_placement.grid_owners(folded, frozenset())


def residual(network, images):
    made = recipes.untrained("resnet8", 1)
    made(images)  # for the statistics of its BN
    return drawings.graphs.network(*graphs(made))


def grids(network, images):
    return drawings.numbers.grids(network.conv1.weight.detach())


DRAWINGS = [
    *(of_network, observers, one_box, region, number_line, requantization),
    *(pair_sums, caches, paired, residual, grids),
]


@pytest.fixture(scope="module")
def drawn(network, images):
    """Every drawing, laid out, by name."""
    found = {draw.__name__: draw(network, images) for draw in DRAWINGS}
    for made in found.values():
        FigureCanvasAgg(made).draw()
    return found


def texts(made):
    """The words of a drawing; an arrow is an annotation without any."""
    return [t for t in made.axes[0].texts if t.get_text()]


def said(made):
    return [text.get_text() for text in texts(made)]


NAMES = pytest.mark.parametrize("name", [d.__name__ for d in DRAWINGS])


@NAMES
def test_no_words_meet_others_or_the_edge(drawn, name):
    made = drawn[name]
    boxes = {t: t.get_window_extent() for t in texts(made)}
    width, height = made.canvas.get_width_height()
    for text, place in boxes.items():
        assert min(place.x0, place.y0) >= MARGIN, text
        assert place.x1 <= width - MARGIN, text
        assert place.y1 <= height - MARGIN, text
    for (one, here), (other, there) in itertools.combinations(
        boxes.items(), 2
    ):
        assert not here.padded(MARGIN).overlaps(there), (one, other)


@NAMES
def test_words_lie_in_a_box_or_beside_it(drawn, name):
    """Those in the middle of a box end before its sides."""
    made = drawn[name]
    for patch in made.axes[0].patches:
        box = patch.get_window_extent()
        for text in texts(made):
            place = text.get_window_extent()
            if box.contains(*place.get_points().mean(0)):
                assert box.x0 < place.x0 and place.x1 < box.x1, text
                assert box.y0 < place.y0 and place.y1 < box.y1, text
            else:
                assert not box.padded(MARGIN).overlaps(place), text


@NAMES
def test_arrows_stop_before_words(drawn, name):
    made = drawn[name]
    boxes = {t: t.get_window_extent() for t in texts(made)}
    arrows = [a for a in made.axes[0].texts if isinstance(a, Annotation)]
    for annotation in arrows:
        path = annotation.arrow_patch.get_path().interpolated(20)
        points = annotation.arrow_patch.get_transform().transform(
            path.vertices
        )
        for text, place in boxes.items():
            assert not any(place.contains(*p) for p in points), text


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_words_are_read_on_their_boxes(theme):
    page = {"light": style.PAPER, "dark": NIGHT}[theme]

    def ink(colour):
        return colour if theme == "light" else style.DARK[colour]

    kinds = drawings.parts.INTEGER, drawings.parts.FLOAT, drawings.parts.PLAIN
    for colour in kinds:
        ground = mixed(ink(colour), page, drawings.parts.FILL)
        assert contrast(ink(style.INK), ground) > 4.5, colour
        assert contrast(ink(colour), page) >= 3, colour
    lost = mixed(ink(drawings.parts.FLOAT), page, 0.45)
    assert contrast(ink(style.INK), lost) > 4.5


def mixed(colour, page, share):
    """What a colour looks like that covers a page by a share."""
    over, under = (
        np.array([int(c[i : i + 2], 16) for i in (1, 3, 5)])
        for c in (colour, page)
    )
    found = np.rint(share * over + (1 - share) * under).astype(int)
    return "#" + "".join(f"{part:02x}" for part in found)


@NAMES
def test_every_ink_is_traded_in_the_dark(drawn, name, tmp_path):
    path = tmp_path / "drawn.svg"
    drawn[name].savefig(path)
    inks = set(re.findall(r"(?<=: )#[0-9a-f]{6}\b", path.read_text()))
    assert inks and inks <= style.DARK.keys()


def test_shares_of_the_network_are_real_and_sum_to_all(drawn, network):
    words = said(drawn["of_network"])
    for what, counts in costs(network).items():
        told = [float(w.partition(" ")[0]) for w in words if w.endswith(what)]
        whole = sum(counts.values())
        real = [100 * count / whole for count in counts.values()]
        assert told == pytest.approx(real, abs=0.05)
        assert sum(told) == pytest.approx(100, abs=0.15)
    shapes = [w for w in words if re.fullmatch(r"[\d ×]+", w)]
    assert shapes == ["32 × 16 × 16", "64 × 8 × 8", "128", "10"]


def test_observers_tell_what_they_have_seen(drawn, network, images):
    words = said(drawn["observers"])
    outputs = module_outputs.capture(network, ["conv1", "fc2"], images)
    for output in outputs.values():
        low, high = (f"{float(e):.2f}" for e in (output.min(), output.max()))
        assert f"{low} to {high}".replace("-", "\u2212") in words
    assert sum(bool(re.search(r"\d to ", w)) for w in words) == 7
    assert "relu1: ReLU" in words and "pool2: max pooling" in words


def test_watching_leaves_a_prepared_network_as_it_was(network, images):
    """Zeros, which find out the order, would widen a range of one image."""
    prepared = torch_eager.prepare(network)
    prepared(images + 3)
    before = torch_eager.observed(prepared)
    drawings.networks.observers(prepared, before)
    assert torch_eager.observed(prepared) == before
    assert before["quant"][0] > 0


def test_an_observer_that_has_seen_nothing_is_named(network):
    prepared = torch_eager.prepare(network)
    with pytest.raises(ValueError, match="conv1.*: no range yet; pass"):
        drawings.networks.observers(prepared, torch_eager.observed(prepared))


def test_folding_saves_a_rounding_and_counts_what_is_kept(drawn, network):
    made = drawn["one_box"]
    words = " ".join(said(made))
    assert f"{network.conv2.weight.numel():,} weights, 64 biases" in words
    marks = [m for m in made.axes[0].lines if m.get_marker() == "D"]
    # Two above, one below, and one that tells what the mark means.
    assert len(marks) == 4


@pytest.mark.parametrize(
    ("kept", "crossings"),
    [((), 2), (("conv2",), 4), (("conv1",), 2), (("conv1", "fc1"), 4)],
)
def test_region_crosses_where_the_network_converts(
    network, images, kept, crossings
):
    built = strategies.quantized(network, images, kept, fold=False)
    rows = drawings.networks._lanes(drawings.networks.running(built))
    assert sum(lane == "between" for _, lane in rows) == crossings
    for told, lane in rows:
        layer = told.partition(":")[0]
        if layer in compact_cnn.LAYERS:
            assert lane == ("floats" if layer in kept else "integers")
    assert rows[0] == ("image", "floats") and rows[-1] == (
        "outputs",
        "floats",
    )


def test_number_line_tells_rounding_from_clipping(drawn):
    words = said(drawn["number_line"])
    assert [w for w in words if "clipped" in w] == ["3.0\nclipped"]
    assert sum("rounded" in w for w in words) == 4
    assert {"−0.86", "2.14", "0", "7"} <= set(words)


def test_multiplier_is_that_of_the_three_scales(drawn, network, images):
    found = requantized(network, images)
    of_input, of_weights, of_output = found.steps
    assert found.multiplier == of_input * of_weights / of_output
    words = " ".join(said(drawn["requantization"]))
    assert f"= {found.multiplier:.6f}" in words
    assert f"= {found.code}, one byte" in words
    product = f"{found.multiplier * found.accumulator:.2f}"
    assert product.replace("-", "\u2212") in words


def test_pair_sums_lose_what_saturation_clips(drawn):
    made = drawn["pair_sums"]
    words = said(made)
    assert "8 bits: 255 · 127 + 255 · 127 = 64,770" in words
    assert any(w.endswith("127 · (−128) = −32,512") for w in words)
    assert words.count("lost") == 1
    kept, lost, *others = (bar.get_width() for bar in made.axes[0].patches)
    assert (kept + lost) / kept == pytest.approx(64_770 / 32_767)
    assert len(others) == 2


def test_only_cold_calls_fetch(drawn):
    words = said(drawn["caches"])
    assert words.count("finds its weights") == 3
    fetched = [w for w in words if w.startswith("fetches")]
    assert fetched == [f"fetches {n} MB" for n in ("0.55", "0.55", "2.18")]
    assert {"last call 0.25 ms", "last call 0.50 ms"} <= set(words)


def test_margins_of_the_paired_table_are_the_two_accuracies(drawn):
    words = said(drawn["paired"])
    assert {"lost\n210", "gained\n190", "both right\n6,955"} <= set(words)
    assert "both wrong\n2,645" in words
    assert {"7,165", "2,835", "7,145", "2,855"} <= set(words)


def test_channels_of_small_weights_gain_by_their_own_grid(drawn):
    told = [float(w[:-3]) for w in said(drawn["grids"]) if w.endswith("dB")]
    shared, own = np.array(told).reshape(2, 3)
    assert shared[0] == own[0] and shared[2] + 3 < own[2]


def test_graph_shows_what_is_merged_and_where_grids_begin(drawn):
    made = drawn["residual"]
    words = said(made)
    # Nine convolutions, two of them in shortcuts; seven have a BN.
    assert sum(": conv 3×3" in w for w in words) == 6
    assert words.count("shortcut\nconv 1×1") == 4
    assert sum(w.endswith(": BN") for w in words) == 7
    assert words.count("conv1\nconv 3×3, ReLU") == 3
    assert words.count("add, ReLU") == words.count("add") == 3
    # A grid for the images, 9 convolutions, 3 sums, the average and fc;
    # none for the reshape; and one mark tells what the marks mean.
    marks = [m for m in made.axes[0].lines if m.get_marker() == "D"]
    assert len(marks) == 15 + 1


def test_branches_side_by_side_are_not_drawn():
    class Wide(torch.nn.Module):
        def forward(self, x):
            y = x.sin()
            return y.exp().abs().sqrt() + (y.cos() + x)

    with pytest.raises(ValueError, match="two branches side by side"):
        drawings.graphs.network(*graphs(Wide()))
