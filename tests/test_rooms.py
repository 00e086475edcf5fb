"""The rooms of the package: who may import whom, and how long a thing is."""

import ast
import graphlib
import importlib
import re

import nbformat
import pytest

from ptq import paths

PACKAGE = paths.REPOSITORY / "ptq"
SHARED = {
    "checkpoint_bytes",
    "input_checks",
    "npm_packages",
    "paths",
    "registry",
}
SCIENCE = {"graph", "data", "quantizer", "networks", "measure"}
ALLOWED = {
    "graph": set(),
    "evidence": set(),
    "data": set(),
    "quantizer": {"graph"},
    "networks": {"data", "graph", "measure"},
    "measure": {"quantizer", "graph", "data"},
    "methods": {"quantizer", "graph"},
    "engines": {"quantizer", "graph"},
    "judge": {"evidence"},
    "experiment": {*SCIENCE, "methods", "engines", "evidence"},
    "running": {*SCIENCE, "experiment", "evidence"},
    "book": {*SCIENCE, "methods", "engines", "evidence", "experiment"},
    "deploy": {
        *("quantizer", "graph", "measure", "engines", "experiment"),
        *("methods", "evidence", "judge", "running"),
    },
    "bench": {
        *("quantizer", "graph", "measure", "engines", "experiment"),
        *("evidence", "judge", "deploy"),
    },
    "cli": {
        *(*SCIENCE, "evidence", "judge", "experiment", "running", "book"),
        *("deploy", "bench"),
    },
}
# Evidence and its judge load nothing heavy, and know no network.
ALONE = {"evidence", "judge"}
# Longer than they should be; whoever shortens one shortens the list.
LONG_MODULES = set()


def modules():
    """Each module by its name below ``ptq``, and its syntax."""
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        yield name, path.read_text()


MODULES = dict(modules())


def room(name):
    return name.partition(".")[0]


def imported(source):
    """Modules of ours that a source imports, by their names below ptq."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            told = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports name the whole path"
            told = [f"{node.module}.{a.name}" for a in node.names]
        else:
            continue
        for name in told:
            parts = name.split(".")[1:] if name.startswith("ptq.") else []
            while parts and ".".join(parts) not in MODULES:
                parts.pop()
            if parts:
                yield ".".join(parts)


ARROWS = {
    (name, other)
    for name, source in MODULES.items()
    for other in imported(source)
    if room(name) != room(other) and not name.startswith("__")
}


def test_every_folder_is_a_room_that_tells_its_job():
    """Or a room inside a room."""
    places = {p.parent.relative_to(PACKAGE) for p in PACKAGE.rglob("*.py")}
    folders = {".".join(place.parts) for place in places} - {""}
    assert {room(name) for name in folders} == ALLOWED.keys()
    loose = {name for name in MODULES if "." not in name}
    assert loose == {*SHARED, "__init__", "__main__"}
    for name in folders:
        tree = ast.parse(MODULES[f"{name}.__init__"])
        assert len(ast.get_docstring(tree).splitlines()) == 1
        # Besides, a room may name what it offers, also as a table of its
        # modules; nothing else runs.
        for line in tree.body[1:]:
            offered = getattr(line, "module", f"ptq.{name}.__all__")
            own = f"{offered}.".startswith(f"ptq.{name}.")
            assert own or offered == "ptq.registry", ast.unparse(line)
            assert isinstance(line, ast.ImportFrom | ast.Assign)


def test_notebooks_import_what_there_is():
    """A renamed module stops each chapter that has its old name."""
    seen, missing = 0, []
    for path in sorted((paths.REPOSITORY / "notebooks").rglob("*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        code = [c.source for c in cells if c.cell_type == "code"]
        for node in ast.walk(ast.parse("\n".join(code))):
            if not isinstance(node, ast.ImportFrom):
                continue
            for alias in node.names if room(node.module) == "ptq" else ():
                name, seen = f"{node.module}.{alias.name}", seen + 1
                own = name.removeprefix("ptq.")
                if not {own, f"{own}.__init__"} & MODULES.keys():
                    offered = dir(importlib.import_module(node.module))
                    if alias.name not in offered:
                        missing.append((path.name, name))
    assert seen > 200
    assert missing == []


def test_rooms_inside_a_room_see_each_other_one_way():
    """graphlib's CycleError names the circle."""
    inner = {name.rpartition(".")[0] for name in MODULES if "." in name}
    arrows = {}
    for name, source in MODULES.items():
        seen = {other.rpartition(".")[0] for other in imported(source)}
        own = name.rpartition(".")[0]
        arrows.setdefault(own, set()).update(seen & inner - {own, room(own)})
    assert any(name.count(".") for name in arrows)
    graphlib.TopologicalSorter(arrows).prepare()


def test_contributors_read_of_these_rooms_and_imports():
    text = (paths.REPOSITORY / "CONTRIBUTING.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \|.*\|(.*)\|$", text, re.M)
    above = set()
    for name, told in rows:
        named = set(re.findall(r"`(\w+)`", told))
        meant = above - named if "all above but" in told else named
        assert meant == ALLOWED[name], name
        above.add(name)
    assert above == ALLOWED.keys()


def test_imports_between_rooms_go_one_way():
    wrong = {
        (name, other)
        for name, other in ARROWS
        if room(other) not in SHARED | ALLOWED.get(room(name), set())
        or (room(name) in ALONE and room(other) in SHARED)
    }
    assert len(ARROWS) > 100
    assert wrong == set(), "an arrow against the direction"


def test_allowed_directions_have_no_circle():
    left = {name: set(others) for name, others in ALLOWED.items()}
    while left:
        free = [n for n, others in left.items() if not others & left.keys()]
        assert free, left
        for name in free:
            del left[name]


@pytest.mark.parametrize("name", sorted(ALONE))
def test_evidence_takes_arrays_only(name):
    heavy = {"torch", "torchvision", "matplotlib", "IPython"}
    for module, source in MODULES.items():
        if room(module) == name:
            for node in ast.parse(source).body:
                if isinstance(node, ast.Import):
                    told = {a.name.split(".")[0] for a in node.names}
                elif isinstance(node, ast.ImportFrom):
                    told = {node.module.split(".")[0]}
                else:
                    continue
                assert not told & heavy, module


def functions(source, prefix):
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{prefix}.{node.name}", node.end_lineno - node.lineno + 1


def test_a_file_has_one_name():
    """What several modules write or read is named in one of them."""
    kinds = r"[\w-]+\.(json|csv|parquet|yml|onnx|ptq|npy)"
    named = {}
    for module, source in MODULES.items():
        for node in ast.walk(ast.parse(source)):
            text = getattr(node, "value", None)
            if isinstance(text, str) and re.fullmatch(kinds, text):
                named.setdefault(text, set()).add(module)
    assert "paths" in named["manifest.json"]
    assert {n: m for n, m in named.items() if len(m) > 1} == {}


@pytest.mark.parametrize(
    "word", ["verdict", "headline", "speedup", "accuracy", "assignment"]
)
def test_one_word_names_one_function(word):
    """Or its plural; methods of that name tell what the function gives."""
    defined = [
        module
        for module, source in MODULES.items()
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef)
        and node.name in (word, f"{word}s")
    ]
    assert len(defined) <= 1, defined


def test_modules_and_functions_are_short():
    long = {n for n, s in MODULES.items() if len(s.splitlines()) > 300}
    assert long == LONG_MODULES
    long = {
        name
        for module, source in MODULES.items()
        for name, lines in functions(source, module)
        if lines > 40
    }
    assert long == set()
