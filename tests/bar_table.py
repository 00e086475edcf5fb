"""What is recommended beside the fastest peer: book/reference/bar.csv

``python tests/bar_table.py FOLDER ...`` adds the sessions that ``make
bench-bar`` saved, a folder each, or replaces those of the same names.
"""

import sys
from pathlib import Path

from engines_table import rows_written

from ptq.bench import against_peers, measuring
from ptq.bench.competitors import RECOMMENDED
from ptq.book.pages.engine_pages import BAR
from ptq.networks import recipes

KEYS = ("session", "network", "conditions")
COLUMNS = (
    *KEYS,
    *("recommended", "ms", "best peer", "peer's ms", "ratio", "verdict"),
    *("images", "change (points)"),
    *("features", "versions"),
)


def rows(folder):
    """A row for each network of a session, and number of images."""
    for name, recipe in recipes.NETWORKS.items():
        found = measuring.load(folder / f"{name}.json")
        versions = ", ".join(f"{n} {v}" for n, v in found.versions.items())
        features = " ".join(found.machine["features"])
        images = int(found.images.split()[0].replace(",", ""))
        change = found.rows[RECOMMENDED].accuracy
        for row in against_peers.table(found.timings, found.choices).rows:
            named = folder.name, recipe.label, *row, images, change
            made = *named, features, versions
            yield dict(zip(COLUMNS, made, strict=True))


if __name__ == "__main__":
    for asked in map(Path, sys.argv[1:]):
        rows_written(BAR, COLUMNS, KEYS, list(rows(asked)))
