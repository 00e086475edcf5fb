"""What a sweep file or its notebook cannot mean is one sentence a fault."""

import json

import nbformat
import pytest
import yaml

from ptq.running import notebook_parameters, plain_yaml, sweep_plan

PARAMETERS = "seed = 1\nlr = 0.1\nname = 'a'\nitems = [1]\noptions = {'a': 1}"


def notebook(folder, source=PARAMETERS, **metadata):
    made = nbformat.v4.new_notebook()
    cell = nbformat.v4.new_code_cell(source)
    cell.metadata["tags"] = ["parameters"]
    made.cells.append(cell)
    text = nbformat.writes(made)
    content = json.loads(text) | {"metadata": metadata}
    (folder / "a.ipynb").write_text(json.dumps(content))
    return folder / "a.ipynb"


@pytest.fixture
def refused(tmp_path):
    """What is told of a sweep file that begins with a chapter."""
    notebook(tmp_path)

    def read(text):
        file = tmp_path / "a.yml"
        file.write_bytes(b"chapter: a.ipynb\n" + text.encode())
        with pytest.raises(sweep_plan.SweepError) as told:
            sweep_plan.read(file)
        return str(told.value).removeprefix(f"{file}: ")

    return read


@pytest.mark.parametrize(
    "text, where",
    [
        ("fixed: {name: *x}", "line 2, column 15: found undefined alias"),
        ("fixed:\n  seed: 3\n   lr: 3", "line 4, column 6: mapping values"),
        ("fixed:\n\tseed: 1", "line 3, column 1: found character"),
        ("fixed: {seed: 3", "line 2, column 16: expected ',' or '}'"),
        ("fixed: {name: 'a}", "line 2, column 18: found unexpected end"),
        ("fixed: {seed: 5}5", "line 2, column 17: expected <block end>"),
        ('fixed: {name: "C:\\x"}', "line 2, column 20: expected escape"),
    ],
)
def test_what_is_no_yaml_is_one_line(text, where, refused):
    told, (place, problem) = refused(text), where.split(": ")
    assert told.startswith(f"{place}: ") and problem in told
    assert told.endswith(plain_yaml.WRITTEN) and "\n" not in told


def test_where_an_open_quote_begins_is_told(refused):
    told = refused('fixed:\n  a: "b\n  c: 1\n')
    assert "begun in line 3, found unexpected end" in told
    told = refused("fixed: {a: &x 1, b: &x 2}")
    assert "found duplicate anchor" in told


@pytest.mark.parametrize("sign", "\0\a")
def test_a_control_character_is_named_with_its_line(sign, refused):
    told = refused(f"fixed: {{name: '{sign}'}}")
    assert told == f"line 2: character {ord(sign):#04x} is no text: remove it"


@pytest.mark.parametrize(
    "text",
    [
        "fixed: {items: &a [1, *a]}",
        "fixed: &a {options: *a}",
        "cross: {items: &a [1, *a]}",
        "list:\n- &a [*a]",
    ],
)
def test_an_alias_of_what_contains_it_is_named(text, refused):
    assert "contains itself by an alias (*): write it out" in refused(text)


def test_an_alias_beside_its_value_is_taken():
    found, faults = plain_yaml.load("a: &x [1, 2]\nb: [*x, {c: *x}]")
    assert found == {"a": [1, 2], "b": [[1, 2], {"c": [1, 2]}]}
    assert not faults


@pytest.mark.parametrize("key", ["1", "1.5", "true", "null", "~"])
def test_a_key_that_is_no_text_says_how_to_write_it(key, refused):
    told = refused(f"cross: {{options: [{{{key}: 2, a: 3}}]}}")
    assert told == (
        f"line 2: {key}: expected a text as key; write '{key}' in quotes"
    )


@pytest.mark.parametrize("key", ["? [a]\n: 3", "fixed: {? {a: b} : 4}"])
def test_a_key_of_several_parts_is_refused(key, refused):
    assert "is no key: expected a text" in refused(key)


@pytest.mark.parametrize("number", ["9" * 5000, "0x" + "f" * 6000])
def test_a_number_of_thousands_of_digits_is_refused(number, refused):
    told = refused(f"fixed: {{seed: {number}}}")
    assert f"{len(number):,} digits are too many for a number" in told
    assert len(told) < 200


@pytest.mark.parametrize("last", [10**6, 10**30])
def test_a_range_of_too_many_points_is_not_counted(last, refused):
    told = refused(f"cross: {{seed: {{from: 1, to: {last}}}}}")
    assert told == "cross: seed: more than 100,000 points: split the sweep"


@pytest.mark.parametrize(
    "again",
    [
        *("seed += 1", "seed = int(2)", "del seed", "if lr:\n    seed = 2"),
        *("import random as seed", "def seed():\n    pass", "seed[0] = 1"),
        "try:\n    lr\nexcept OSError as seed:\n    pass",
    ],
)
def test_a_parameter_set_twice_is_none(again, refused, tmp_path):
    notebook(tmp_path, f"{PARAMETERS}\n{again}")
    assert "seed: a.ipynb sets it to no literal" in refused(
        "fixed: {seed: 3}"
    )
    assert "seed" not in notebook_parameters.defaults(tmp_path / "a.ipynb")


@pytest.mark.parametrize(
    "inner",
    [
        "def f():\n    seed = 2",
        "async def f():\n    seed = 2",
        "sizes = [seed for seed in items]",
        "seed: int",
        "if lr:\n    f = lambda seed: seed",
    ],
)
def test_a_scope_of_its_own_may_use_a_parameters_name(inner, tmp_path):
    file = notebook(tmp_path, f"{PARAMETERS}\n{inner}")
    assert notebook_parameters.defaults(file)["seed"] == 1


def test_another_language_is_named_without_a_kernel(refused, tmp_path):
    notebook(tmp_path, language_info={"name": "R"})
    assert refused("fixed: {seed: 3}").endswith(
        "a.ipynb is written in R; expected Python"
    )


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"kernelspec": {"name": "x"}},
        {"language_info": {"name": "python"}},
    ],
)
def test_a_python_notebook_may_name_no_kernel(metadata, tmp_path):
    file = notebook(tmp_path, **metadata)
    assert notebook_parameters.defaults(file)["seed"] == 1


def test_errors_of_yaml_are_yaml_errors():
    for text in ("[" * 3000, "a: [", "a: \0", "a: &a [*a]"):
        with pytest.raises(yaml.YAMLError):
            plain_yaml.load(text)
