"""The real data, the shipped network, executed chapters, the built site."""

import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import filelock
import nbformat
import numpy as np
import pytest
import torch
from browser import launch
from bs4 import BeautifulSoup
from playwright.sync_api import sync_playwright
from reader_network import digits as digits
from reader_network import here as here
from reader_network import net as net
from xdist.scheduler import LoadFileScheduling

from ptq import paths
from ptq.book.pages import frontpage, run_pages
from ptq.book.pages.site_assets import ASSETS, fetch_asset
from ptq.data import cifar10, image_sets
from ptq.engines import eager_settings
from ptq.experiment import strategies
from ptq.methods import eager_folding
from ptq.networks import checkpoints, compact_cnn, recipes
from ptq.npm_packages import NpmError
from ptq.running import pipeline

# Who needs one of these tests the book, not the package alone.
WAITING = {"quick_run", "site"}
BOOK = {*WAITING, "assets", "cluster", "toy"}
FIRST, LONGEST = "test_chapters.py", "test_site.py"
# Threads that wait for a core that another test has would only spin there.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OMP_WAIT_POLICY"] = "passive"
torch.set_num_threads(1)
# What is found out about this machine is kept for the tests alone.
os.environ["PTQ_CACHE_DIR"] = tempfile.mkdtemp(prefix=f"ptq-{os.getpid()}-")
# A suite in the background ignores Ctrl-C, and so would what it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """One process makes chapters and site while others test the package."""
    for item in items:
        if BOOK & set(item.fixturenames):
            item.add_marker(pytest.mark.book)
    late = {i.path for i in items if WAITING & set(i.fixturenames)}
    # Of those that wait, the one that takes longest comes first.
    items.sort(
        key=lambda i: (
            i.path.name != FIRST,
            i.path in late,
            i.path.name != LONGEST,
        )
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    # One more than cores, as a test often waits, for a kernel or a browser;
    # four at most, for memory.
    return min(4, (os.cpu_count() or 1) + 1)


class Files(LoadFileScheduling):
    """A file goes to one process, save visits: a tab's do."""

    def _split_scope(self, nodeid):
        tab = re.search(r"\[(light|dark)-\d+-|-(390|1280)\]$", nodeid)
        return super()._split_scope(nodeid) + (tab[0] if tab else "")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    # Not the longest first, but in the order above.
    config.option.loadscopereorder = False
    return Files(config, log)


@pytest.fixture(scope="module", params=recipes.NETWORKS)
def shipped(request):
    """Each of the trained networks that the book ships."""
    network = recipes.untrained(request.param, 42).eval()
    name = f"{recipes.of(request.param).name}.pt"
    checkpoints.load_checkpoint(paths.checkpoint_folder() / name, network)
    return network


@pytest.fixture(scope="session")
def once(tmp_path_factory, worker_id):
    """Make a folder by name, unless a process of this session has made it."""
    own = tmp_path_factory.getbasetemp()
    shared = own if worker_id == "master" else own.parent

    def make(name, fill):
        folder = shared / name
        with filelock.FileLock(f"{folder}.lock"):
            if not (folder / ".whole").exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                fill(folder)
                (folder / ".whole").touch()
        return folder

    return make


@pytest.fixture(scope="session")
def cifar():
    try:
        return cifar10.load()
    except cifar10.DataError as error:
        pytest.skip(f"needs CIFAR-10: {error}")


@pytest.fixture(scope="session")
def network():
    """The shipped network; a test that changes it must copy it."""
    loaded = compact_cnn.CompactCNN().eval()
    name = f"{recipes.Recipe().name}.pt"
    checkpoints.load_checkpoint(paths.checkpoint_folder() / name, loaded)
    return loaded


@pytest.fixture(scope="session")
def pixels():
    """Generated images, uint8: patches, as noise has no large outputs."""
    generator = torch.Generator().manual_seed(7)
    patches = torch.randint(
        0, 256, (64, 3, 4, 4), dtype=torch.uint8, generator=generator
    )
    return patches.repeat_interleave(8, 2).repeat_interleave(8, 3)


@pytest.fixture(scope="session")
def images(pixels):
    """The generated images as the network takes them."""
    return image_sets.normalize(pixels, 0.5, 0.5)


@pytest.fixture(scope="session")
def folded_float(network):
    return eager_folding.fold(network)


@pytest.fixture(scope="session")
def quantized(network, images):
    eager_settings.select()
    return strategies.folded(network, images)


@pytest.fixture(autouse=True)
def _preferred_engine():
    # The engine is a global of torch: no test may inherit another's.
    eager_settings.select()


@pytest.fixture(scope="session")
def quick_run(cifar, once):
    """The run folder of all chapters, executed with the quick preset."""

    def execute(folder):
        command = [sys.executable, "-m", "ptq", "run", "--preset", "quick"]
        done = subprocess.run(
            [*command, "--run-dir", folder],
            env=os.environ | {"PYTHONPATH": str(paths.REPOSITORY)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, done.stdout[-3000:]

    return once("quick", execute)


@pytest.fixture(scope="session")
def assets(once):
    """Why scripts of others cannot be served here; empty where they can."""

    def fetch(folder):
        told = ""
        try:
            for asset in ASSETS:
                fetch_asset(asset)
        except NpmError as error:
            told = str(error)
        (folder / "told").write_text(told)

    return (once("assets", fetch) / "told").read_text()


@pytest.fixture(scope="session")
def site(request):
    """The built book: that of PTQ_SITE, else one of quick chapters."""
    if given := os.environ.get("PTQ_SITE"):
        return Path(given).absolute()
    names = ("quick_run", "once", "assets")
    run, once, _ = map(request.getfixturevalue, names)

    def make(root):
        lay_out(root)
        shutil.copytree(run / "chapters", root / "book" / "chapters")
        run_pages.write(run, root / "book" / "_generated")
        frontpage.write_headline(run, root / "book" / "_generated")
        build(root, "-W", "--keep-going", "-n")

    return once("site", make) / "_build" / "html"


@pytest.fixture(scope="module")
def browser(assets):
    """The machine's own browser."""
    if assets and "PTQ_SITE" not in os.environ:
        pytest.skip(f"pages would ask a CDN: {assets}")
    with sync_playwright() as playwright:
        started = launch(playwright)
        if started is None:
            pytest.skip("no Chromium or Chrome on this machine")
        yield started
        started.close()


def case31():
    """Predictions of a reference and another, and labels: lost 3, gained 1.

    1,000 labels, of which the reference has 700 right.
    """
    labels = np.random.default_rng(31).integers(0, 10, 1000)
    first = labels.copy()
    first[700:] = (labels[700:] + 1) % 10
    second = first.copy()
    second[:3] = (labels[:3] + 1) % 10
    second[700] = labels[700]
    return first.astype(np.uint8), second.astype(np.uint8), labels


def excerpt(folder, *names):
    """A notebook that opens as a chapter does and records strategies."""
    chapter = nbformat.read(pipeline.chapters()[1], as_version=4)
    opening = [
        cell
        for cell in chapter.cells
        if "parameters" in cell.metadata.get("tags", [])
        or "laboratory.opened(" in cell.source
    ]
    assert len(opening) == 2
    code = (
        "from ptq.experiment import laboratory",
        *map("lab.record({!r})".format, names),
    )
    first, *records = map(nbformat.v4.new_code_cell, code)
    chapter.cells = [first, *opening, *records]
    path = folder / "excerpt.ipynb"
    nbformat.write(chapter, path)
    return path


@functools.cache
def soup(path):
    """A built page, parsed once for all tests, none of which changes it."""
    return BeautifulSoup(path.read_text(encoding="utf8"), "html.parser")


def lay_out(root):
    """Copy what the book is made of, save what a run makes.

    Its repository is taken to be unknown, whatever the settings say.
    """
    config = (paths.REPOSITORY / "_config.yml").read_text()
    config = re.sub(r"^  url: .*", '  url: ""', config, flags=re.M)
    (root / "_config.yml").write_text(config)
    shutil.copy(paths.REPOSITORY / "_toc.yml", root)
    shutil.copytree(
        paths.REPOSITORY / "book",
        root / "book",
        ignore=shutil.ignore_patterns("chapters", "_generated"),
    )


def build(root, *options, **environment):
    """Build the book in ``root``; the folder of its pages."""
    command = Path(sys.executable).parent / "jupyter-book"
    quiet = {"NO_COLOR": "1", "GITHUB_REPOSITORY": ""}
    built = subprocess.run(
        [command, "build", ".", "--all", *options],
        cwd=root,
        env=os.environ | quiet | environment,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stdout[-3000:] + built.stderr[-3000:]
    return root / "_build" / "html"


@pytest.fixture
def npm(tmp_path_factory, monkeypatch):
    """A script in place of the npm client; at first it packs rubbish."""
    folder = tmp_path_factory.mktemp("bin")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def write(body):
        """Let it run ``body``; $package and $folder are what it is given."""
        (folder / "npm").write_text(
            f"#!/bin/sh\npackage=$2 folder=$4\n{body}\n"
        )
        (folder / "npm").chmod(0o755)

    write('echo rubbish > "$folder/$(echo $package | tr @ -).tgz"')
    return write
