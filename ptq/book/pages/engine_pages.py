"""What the page of engines includes: parity, and the bar of its times."""

import pandas as pd

from ptq import paths
from ptq.book.show import captioned
from ptq.evidence import time_ratios
from ptq.experiment.results import NOT_JUDGED
from ptq.networks import recipes

PARITY = paths.REFERENCE / "parity.csv"
BAR = paths.REFERENCE / "bar.csv"
FLIPS, TIE = "other predictions", "best two 0 codes apart"
NAMED = ("network", "file", "engine")
SHOWN = (*NAMED, FLIPS, "logits equal (%)")
NODES = ("worst operation (%)", "largest difference", "causes")
CHANGE = "change (points)"
UNEQUAL = "why codes differ (how many)"


def parity_page(found: pd.DataFrame | None = None) -> str:
    """MyST of sentences and a table of ``PARITY``, or of rows like it.

    Sentences tell the most other predictions of one row, why each came, and
    how far a code is off on equal inputs.
    """
    found = pd.read_csv(PARITY) if found is None else found
    flips, images = found[FLIPS], int(found["images"].min())
    most = f"{flips.max()} at most" if flips.any() else "none of them"
    text = (
        f"Asked for {images:,} test images of each network below, an engine "
        f"predicts otherwise than exact integers for {most}. On "
        "equal inputs, no operation's code is off by more than "
        f"{int(found['largest difference'].max())}, and at least "
        f"{found['worst operation (%)'].min():.2f} % of its codes are equal."
    )
    whys = found.loc[flips > 0, [*NAMED, "why they flip"]]
    told = [
        f"- {network}, {file}, {_words(engine)}: "
        f"{why.replace(TIE, 'a tie of the two best exact logits')}."
        for network, file, engine, why in whys.itertuples(index=False)
    ]
    if told:
        text += " Each other prediction has its cause:\n\n" + "\n".join(told)
    frame = (
        found[[*SHOWN, *NODES, CHANGE]]
        .assign(engine=found.engine.map(_words))
        .rename(columns={"causes": UNEQUAL})
    )
    caption = (
        "Engines beside exact integers on all test images. The three "
        "columns in front of the last are on equal inputs, for the first "
        "thousand of them; their causes are of codes, not of predictions. "
        "The last is the file's accuracy against FP32, by exact integers. "
        f"Executed on {', '.join(sorted(set(found.version)))}."
    )
    table = captioned(frame, "parity-all", caption, text=True)
    return f"{text}\n\n{table}"


def all_images(found: pd.DataFrame | None = None) -> str:
    """A sentence on ``PARITY``, or rows like it: which networks, how many.

    Names the networks whose default file was compared on all test images,
    the most other predictions of one row, and whether all of them are ties.
    """
    if found is None:
        found = pd.read_csv(PARITY).query("file == 'default'")
    names, most = list(dict.fromkeys(found.network)), found[FLIPS].max()
    which = " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
    if {row.label for row in recipes.NETWORKS.values()} <= set(names):
        which = "all four networks"
    text = (
        f"For the default file of {which} all "
        f"{int(found.images.min()):,} were compared once: "
        f"at most {most} differ"
    )
    if not most:
        return text.replace("at most 0 differ", "none differs")
    whys = found.loc[found[FLIPS] > 0, "why they flip"]
    ties = whys.str.count("best two") == whys.str.count(TIE)
    return text + ", ties in the exact logits" * bool(ties.all())


def bar_page(found: pd.DataFrame | None = None) -> str:
    """MyST of sentences and a table of ``BAR``, or of rows like it.

    Sentences tell how many comparisons were judged, and each that came out
    slower; a row is of a network and number of images, over all sessions. A
    ratio is the peer's time over that of what is recommended.
    """
    found = pd.read_csv(BAR) if found is None else found
    judged = found[found["verdict"] != NOT_JUDGED]
    text = (
        f"In {found['session'].nunique()} sessions, {len(judged)} of "
        f"{len(found)} comparisons were judged; in the others a network "
        "against itself was too far from equal. What `ptq` recommends was "
        f"faster in {sum(judged['verdict'] == time_ratios.FASTER)} and "
        f"slower in {sum(judged['verdict'] == time_ratios.SLOWER)} of those "
        "judged."
    )
    slower = judged[judged["verdict"] == time_ratios.SLOWER]
    for row in slower.to_dict("records"):
        text += (
            f" Slower: {row['network']}, {row['conditions']}, with "
            f"{row['ratio']} times the speed of {row['best peer']}."
        )
    shown = [
        _bar_row(*asked, group)
        for asked, group in found.groupby(
            ["network", "conditions"], sort=False
        )
    ]
    table = captioned(
        pd.DataFrame(shown), "bar", _bar_caption(found), text=True
    )
    return f"{text}\n\n{_bar_accuracy(found)}\n\n{table}"


def _bar_caption(found: pd.DataFrame) -> str:
    return (
        "The recommended deployment beside the fastest flow of others, hot. "
        "A ratio is how many times as fast ours is, one for each session; "
        "one with an interval was judged. It compares calls side by side, "
        "and milliseconds are medians of all calls: their quotient may "
        "differ from it. The best peer is the fastest of that session, "
        "picked after the fact, which favours the peers. Executed on "
        f"{'; '.join(sorted(set(found['features'])))} with "
        f"{'; '.join(sorted(set(found['versions'])))}."
    )


def _bar_row(network: str, conditions: str, group: pd.DataFrame) -> dict:
    """All sessions of a network and a number of images."""
    verdicts = group["verdict"].value_counts(sort=False)
    times = " / ".join(
        f"{group[name].astype(float).median():.3f}"
        for name in ("ms", "peer's ms")
    )
    return {
        "network": network,
        "conditions": conditions,
        "recommended": " or ".join(group["recommended"].unique()),
        "best peer": " or ".join(group["best peer"].unique()),
        "ms (median session)": times,
        "ratios": ", ".join(group["ratio"].astype(str)),
        "verdicts": ", ".join(f"{n} {word}" for word, n in verdicts.items()),
    }


def _bar_accuracy(found: pd.DataFrame) -> str:
    """What the recommended files lose, where most images were asked."""
    most = found.sort_values("images").groupby("network", sort=False).tail(1)
    told = [
        f"{row['network']} {row['change (points)']} "
        f"({row['images']:,} images)"
        for row in most.to_dict("records")
    ]
    return f"Points of accuracy against FP32: {'; '.join(told)}."


def _words(engine: str) -> str:
    return engine.replace("_", " ")
