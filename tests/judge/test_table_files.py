"""Tables that name their images and outputs, and rows that are damaged."""

import os
import zipfile

import numpy as np
import pytest

from ptq.evidence.checks import InputError
from ptq.judge import reading

N = 60
NAMES = [f"img{i}.png" for i in range(N)]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def table(name, titles, *columns):
    """A file of these columns, of which the last is asked for."""
    lines = [",".join(map(str, row)) for row in zip(*columns, strict=True)]
    with open(name, "w") as file:
        file.write("\n".join([titles, *lines]) + "\n")
    return f"{name}:{titles.split(',')[-1]}"


def named(name, names, titles="file,pred", classes=10):
    return table(name, titles, names, [i * 7 % classes for i in range(N)])


def refused(*given):
    with pytest.raises(InputError) as caught:
        reading.read_all([*given])
    told = str(caught.value)
    assert "\n" not in told
    return told


FORMS = {
    "as is": str,
    "folders": lambda name: f"/data/val/{name}",
    "folders of old": lambda name: f"C:\\val\\{name}",
    "folders of many": lambda name: f"{name[3]}/{name}",
    "capitals": str.upper,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("title", ["file", "File", "image"])
def test_names_of_images_are_compared_in_any_form(form, title):
    """Another title, a folder or capitals are still the same images."""
    names = [FORMS[form](name) for name in NAMES]
    first = named("a.csv", NAMES)
    reading.read_all([first, named("b.csv", names, f"{title},pred")])
    for moved in (names[::-1], [names[1], names[0], *names[2:]]):
        other = named("b.csv", moved, f"{title},pred")
        told = refused(first, other)
        assert f"b.csv:pred: column {title} has {moved[0]} in row 0" in told
        assert "a.csv:pred has img0.png" in told
        assert "sort the rows of every file" in told
        assert ("in column file" in told) == (title != "file")


def test_equal_names_in_folders_are_told_by_the_folder():
    names = [f"{kind}/{i}.png" for kind in ("cat", "dog") for i in range(30)]
    deep = [f"val/{name}" for name in names]
    first = named("a.csv", names)
    reading.read_all([first, named("b.csv", deep, "image,pred")])
    for moved in (names[30:] + names[:30], deep[30:] + deep[:30]):
        told = refused(first, named("b.csv", moved, "image,pred"))
        assert "dog/0.png in row 0" in told


def test_another_image_is_missing_in_each_under_other_titles():
    first = named("a.csv", ["x.png", *NAMES[1:]])
    other = named("b.csv", [*NAMES[1:], "y.png"], "image,pred")
    assert "keep the same images" in refused(first, other)


def test_a_second_column_of_names_has_its_own_order():
    """Both name images, and the title tells which are to be compared."""
    classes = [i % 10 for i in range(N)]
    given = [
        table(name, "file,before,pred", NAMES, NAMES[::-1], classes)
        for name in ("a.csv", "b.csv")
    ]
    assert len(reading.read_all(given)) == 2


def test_whole_floats_number_the_images_as_integers_do():
    """As pandas writes numbers that stood beside a hole before a join."""
    numbers = np.arange(N) * 7
    first = named("a.csv", numbers, "id,pred")
    reading.read_all([first, named("b.csv", numbers * 1.0, "id,pred")])
    moved = np.random.default_rng(1).permutation(numbers) * 1.0
    other = named("b.csv", moved, "id,pred")
    for given in ([first, other], [other]):
        told = refused(*given)
        assert "b.csv: column id seems to number the images" in told
    missing = named("b.csv", np.arange(N) * 7.0 + 7, "id,pred")
    assert "column id has 7 in row 0" in refused(first, missing)
    rows = [numbers * 1.0, np.arange(N) % 10, np.arange(N) % 3]
    table("b.csv", "a,b,c", *rows)
    assert "looks like no output" in refused("b.csv")


def test_scores_that_are_no_whole_numbers_are_left_alone():
    scores = np.random.default_rng(0).random((2, N)) * 9
    scores[0, 5] = np.nan
    first = named("a.csv", scores[0], "score,pred")
    assert len(reading.read_all([first, named("b.csv", scores[1])])) == 2


@pytest.mark.parametrize("form", [*FORMS, "numbers"])
def test_names_that_repeat_stand_in_one_order(form):
    """As of several views of an image."""
    names = [NAMES[i // 2] for i in range(N)]
    first = named("a.csv", names)
    if form == "numbers":
        names = [i // 2 for i in range(N)]
        first = named("a.csv", names)
    else:
        names = [FORMS[form](name) for name in names]
    reading.read_all([first, named("b.csv", names)])
    for moved in (names[::-1], [*names[2:4], *names[:2], *names[4:]]):
        told = refused(first, named("b.csv", moved))
        assert f"b.csv:pred: column file has {moved[0]} in row 0" in told


def test_words_that_name_no_images_may_change_places():
    """Names of classes, and of machines, as often in either file."""
    for count in (2, 10, N // 2):
        first = np.arange(N) % count
        second = first.copy()
        second[[0, 1]] = second[[1, 0]]
        machines = [f"gpu{i % 2}" for i in range(N)]
        given = [
            table(
                name,
                "file,word,machine,pred",
                *(NAMES, [f"class {i}" for i in found], ran, found),
            )
            for name, found, ran in (
                ("a.csv", first, machines),
                ("b.csv", second, machines[::-1]),
            )
        ]
        assert len(reading.read_all(given)) == 2


def outputs(name, titles, first=""):
    scores = np.random.default_rng(0).random((len(titles), N)).round(3)
    rows = [range(N)] * bool(first) + [*scores]
    head = ",".join([first] * bool(first) + titles)
    table(name, head, *rows)
    return name


def test_outputs_of_the_same_names_stand_in_one_order():
    titles = ["cat", "dog", "a", "b"]
    first = outputs("a.csv", titles)
    for moved in (["cat", "a", "dog", "b"], ["Cat", "A", "DOG", "b"]):
        for index in ("", "id"):
            told = refused(first, outputs("b.csv", moved, index))
            assert f"b.csv: output 1 (from 0) is {moved[1]}" in told
            assert "where a.csv has dog" in told and "in one order" in told


@pytest.mark.parametrize(
    "titles",
    [
        ["cat", "dog", "a", "b"],
        ["CAT", "DOG", "A", "B"],
        ["cat", "dog", "a", "c"],
        ["c0", "c1", "c2", "c3"],
        ["0", "1", "2", "3"],
        ["cat", "dog", "a"],
    ],
)
def test_outputs_of_other_names_are_left_alone(titles):
    """Each tool may have words of its own for the same classes."""
    given = [outputs("a.csv", ["cat", "dog", "a", "b"])]
    given += [outputs("b.csv", titles, "id"), outputs("c.csv", titles)]
    np.save("d.npy", np.eye(4)[np.arange(N) % 4])
    assert len(reading.read_all([*given, "d.npy"])) == 4


def test_an_archive_has_parts_whatever_it_is_named():
    np.savez("a.npz", one=np.arange(N), two=np.zeros(N))
    os.rename("a.npz", "a.npy")
    assert "expected a.npy:NAME with one of one, two" in refused("a.npy")
    (found,) = reading.read_all(["a.npy:one"])
    assert found.tolist() == [*range(N)]
    np.save("b.npy", np.arange(N))
    os.rename("b.npy", "b.npz")
    assert "expected b.npz, which holds one" in refused("b.npz:one")


@pytest.mark.parametrize("part", ["", ":a/data/0"])
def test_a_file_of_torch_is_named_as_one(part):
    """Of names as torch writes them; its tensors are no arrays of numpy."""
    with zipfile.ZipFile("a.npy", "w") as archive:
        for name in ("data.pkl", "byteorder", "data/0", "version"):
            archive.writestr(f"a/{name}", b"0")
    told = refused(f"a.npy{part}")
    assert "a.npy: a file of torch.save" in told and "numpy.save" in told
    np.savez("b.npz", **{"a/data.pkl": np.arange(N)})
    assert len(reading.read("b.npz")) == N


@pytest.mark.parametrize(
    "odd", ["\u0663", "1" + "0" * 30, str(2**64 - 1), "a"]
)
@pytest.mark.parametrize("part", ["", ":pred"])
def test_the_odd_value_of_a_column_is_named_with_its_row(odd, part):
    """What Python takes for a number, pandas may not."""
    values = [9, -1, *range(N)]
    values[3] = odd
    table("a.csv", "pred", values)
    told = refused(f"a.csv{part}")
    assert f"a.csv: column pred (of pred) has {odd!r}" in told
    assert "in row 3 (from 0): expected numbers" in told


@pytest.mark.parametrize("row", [0, 1, 7])
@pytest.mark.parametrize("head", ["", "a,b,c\n"])
@pytest.mark.parametrize("more", [",9", ","])
def test_a_row_of_too_many_cells_is_named(row, head, more):
    rows = ["0.5,0.25,1.5"] * N
    rows[row] += more
    # An empty cell is no number, so such a first line would be a header.
    head = head or ("1.5,2,3\n" if row == 0 and more == "," else "")
    row += bool(head) and not head.startswith("a")
    with open("a.csv", "w") as file:
        file.write(head + "\n".join(rows))
    told = refused("a.csv")
    assert f"a.csv: no table: row {row} (from 0) has 4 cells" in told
    assert "where 3 are expected" in told


def test_a_chosen_column_needs_no_cell_behind_it():
    """Remarks may stand in some rows only."""
    with open("a.csv", "w") as file:
        file.write("\n".join(["1,3,0.5", *["2,4"] * N]))
    (found,) = reading.read_all(["a.csv:2"])
    assert found.tolist() == [3, *[4] * N]
