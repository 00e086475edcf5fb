"""Tables that name their images and outputs, and rows that are damaged."""

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
