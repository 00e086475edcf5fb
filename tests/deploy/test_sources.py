"""Networks and images of a reader, and what is said where they are wrong."""

import zipfile

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image
from torchvision import datasets

from ptq.deploy import image_source, network_source
from ptq.evidence.checks import InputError
from ptq.graph import UnsupportedError


def test_a_file_makes_the_network_of_the_checkpoint(net):
    spec = f"{net.folder / 'net.py'}:make"
    source = network_source.read(spec, net.folder / "w.pt")
    wanted = net.network.state_dict()
    assert source.normalization == (0.5, 0.5) and source.classes is None
    for name, tensor in source.network.state_dict().items():
        assert torch.equal(tensor, wanted[name])


def test_weights_without_checkpoint_are_drawn_by_a_seed(net):
    before = torch.random.get_rng_state()
    first, second = (
        network_source.read(f"{net.folder / 'net.py'}:Net").network
        for _ in range(2)
    )
    assert torch.equal(first.fc.weight, second.fc.weight)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_module_of_a_package_and_what_a_factory_says(tmp_path):
    source = network_source.read("torchvision.models:alexnet")
    assert source.network.classifier[6].out_features == 1000
    (tmp_path / "part.py").write_text("classes = ['no', 'yes']\n")
    (tmp_path / "two.py").write_text(
        "import torch\nfrom part import classes\n"
        "normalization = 0, 1\n"
        "def make(): return torch.nn.Linear(2, 2)\n"
        "make.normalization = (0.1, 0.2, 0.3), (1, 1, 1)\n"
        "make.input_shape = 1, 3, 8, 8\n"
    )
    source = network_source.read(f"{tmp_path / 'two.py'}:make")
    assert source.normalization == ((0.1, 0.2, 0.3), (1, 1, 1))
    assert source.classes == ["no", "yes"]
    source.check(torch.zeros(5, 3, 8, 8))
    with pytest.raises(InputError, match=r"\(1, 8, 8\).*\(3, 8, 8\)"):
        source.check(torch.zeros(5, 1, 8, 8))


def test_what_the_class_of_a_network_says_is_read(tmp_path):
    """Also where a function makes it; a method of that name says nothing."""
    (tmp_path / "net.py").write_text(
        "import torch\n"
        "class Net(torch.nn.Linear):\n"
        "    normalization = 0.1, 0.3\n"
        "    classes = property(lambda self: 2)\n"
        "    def input_shape(self): return 1\n"
        "def make(): return Net(2, 2)\n"
    )
    source = network_source.read(f"{tmp_path / 'net.py'}:make")
    assert source.normalization == (0.1, 0.3)
    assert source.classes is None and source.input_shape is None


CODE = {
    "net.py": "expected package.module:name or path/to/file.py:name",
    "nowhere.py:make": "there is no file nowhere.py",
    "no.such:make": "importing it ended in ModuleNotFoundError: No module",
    "{}:mak": "no function or class mak; it has Deep, failing, leaving, make",
    "{}:make": "returns a int: expected a torch.nn.Module",
    "{}:needs": r"needs arguments \(width, depth\): expected a function",
    "{}:failing": r"calling it ended in KeyError: 'x' \(odd.py:6\)",
    "{}:leaving": r"calling it ended in SystemExit: 3 \(odd.py:9\)",
    "{broken}:make": r"ended in SyntaxError: .*\(broken.py:1\)",
    "{raising}:make": r"ended in ZeroDivisionError: .*\(raising.py:2\)",
}
ODD = """
class Deep: pass
def make(): return 3
def needs(width, depth, more=1): pass
def failing():
    return {}["x"]
def leaving():
    import sys
    sys.exit(3)
"""


@pytest.mark.parametrize("spec", CODE)
def test_wrong_code_is_told_with_its_line(tmp_path, spec):
    for name, text in (
        ("odd", ODD),
        ("broken", "def make(:\n"),
        ("raising", "\n1 / 0\n"),
    ):
        (tmp_path / f"{name}.py").write_text(text)
    names = {n: tmp_path / f"{n}.py" for n in ("broken", "raising")}
    with pytest.raises(InputError, match=CODE[spec]) as told:
        network_source.read(spec.format(tmp_path / "odd.py", **names))
    assert "\n" not in str(told.value)


def test_a_wrong_checkpoint_is_told(net, tmp_path):
    spec = f"{net.folder / 'net.py'}:make"
    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "other.pt")
    (tmp_path / "text.pt").write_text("no checkpoint")
    for name, sentence in (
        ("none.pt", "No such file"),
        ("text.pt", "is no file of torch.save"),
        ("other.pt", "of another network"),
    ):
        with pytest.raises(UnsupportedError, match=sentence) as told:
            network_source.read(spec, tmp_path / name)
        assert "\n" not in str(told.value) and name in str(told.value)


def test_codes_are_no_weights_and_other_floats_are_told(net, tmp_path):
    spec, state = f"{net.folder / 'net.py'}:make", net.network.state_dict()
    torch.save({n: t.half() for n, t in state.items()}, tmp_path / "half.pt")
    (note,) = network_source.read(spec, tmp_path / "half.pt").notes
    assert "float16 numbers: converted" in note
    codes = {n: (100 * t).to(torch.int8) for n, t in state.items()}
    torch.save(codes, tmp_path / "codes.pt")
    torch.save({"epoch": 3, "weights": state}, tmp_path / "more.pt")
    for name, sentence in (
        ("codes.pt", "is int8: expected float numbers"),
        ("more.pt", "no tensors by name, but epoch, weights: expected"),
    ):
        with pytest.raises(UnsupportedError, match=sentence):
            network_source.read(spec, tmp_path / name)


NAMES = {
    "expected a list of names": "abc",
    "'a' is there 2 times": ["a", "b", "a"],
    "expected normalization = .mean, std.": 3,
}


@pytest.mark.parametrize("sentence", NAMES)
def test_names_of_classes_are_a_list_of_unlike_ones(tmp_path, sentence):
    (tmp_path / "net.py").write_text(
        "import torch\ndef make(): return torch.nn.Linear(2, 3)\n"
        f"classes = {NAMES[sentence]!r}\n"
    )
    with pytest.raises(InputError, match=sentence):
        network_source.read(f"{tmp_path / 'net.py'}:make")


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def gray(value, size=(4, 5)):
    return np.full(size, value, np.uint8)


def test_folders_are_classes_by_name(tmp_path):
    save(tmp_path / "dog" / "a.png", gray(3))
    save(tmp_path / "cat" / "deep" / "b.png", gray(2))
    save(tmp_path / "cat" / "a.bmp", gray(1))
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "no.png").touch()
    (tmp_path / "dog" / "notes.txt").touch()
    images = image_source.read(tmp_path)
    assert images.pixels.shape == (3, 1, 4, 5)
    assert images.pixels[:, 0, 0, 0].tolist() == [1, 2, 3]
    assert images.labels.tolist() == [0, 0, 1]
    assert images.class_names == ["cat", "dog"]
    assert images.notes and "notes.txt" in images.notes[0]
    named = image_source.read(tmp_path, ["dog", "fox", "cat"])
    assert named.labels.tolist() == [2, 2, 0]
    assert image_source.read(tmp_path, labelled=False).labels is None
    with pytest.raises(InputError, match="folder dog is none of the classes"):
        image_source.read(tmp_path, ["cat", "fox"])


def test_a_flat_folder_has_no_labels_and_one_colour_makes_all_rgb(tmp_path):
    save(tmp_path / "a.png", gray(9))
    save(tmp_path / "b.png", np.stack([gray(1), gray(2), gray(3)], 2))
    images = image_source.read(tmp_path)
    assert images.labels is None and images.class_names is None
    assert images.pixels[:, :, 0, 0].tolist() == [[9, 9, 9], [1, 2, 3]]


def test_transparency_that_is_dropped_is_told(tmp_path):
    clear = np.stack([gray(1), gray(2), gray(3), gray(0)], 2)
    save(tmp_path / "a.png", clear)
    save(tmp_path / "b.png", clear[..., :3])
    images = image_source.read(tmp_path)
    assert images.pixels[:, :, 0, 0].tolist() == [[1, 2, 3]] * 2
    (note,) = images.notes
    assert note.startswith("1 images of") and "a.png, have transp" in note


def test_an_image_that_is_not_turned_is_told(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    pixels = np.arange(20, dtype=np.uint8).reshape(4, 5)
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    save(tmp_path / "b.png", pixels)
    images = image_source.read(tmp_path)
    assert images.pixels[:, 0].tolist() == [pixels.tolist()] * 2
    (note,) = images.notes
    assert note.startswith("1 images of") and "a.png, are to be tur" in note


def test_links_are_followed_as_torchvision_does(tmp_path):
    """A class that is a link keeps its number; a loop ends."""
    folder, real = tmp_path / "images", tmp_path / "elsewhere"
    for name, value in (("ant", 1), ("dog", 3)):
        save(folder / name / "a.png", gray(value))
    save(real / "birds" / "deep" / "a.png", gray(2))
    save(real / "b.png", gray(4))
    (folder / "bird").symlink_to(real / "birds")
    (folder / "dog" / "b.png").symlink_to(real / "b.png")
    for loop, to in (("ant", "."), ("dog", ".."), ("bird", "../birds")):
        (folder / loop / "loop").symlink_to(to)
    images = image_source.read(folder)
    assert images.class_names == ["ant", "bird", "dog"]
    assert images.pixels[:, 0, 0, 0].tolist() == [1, 2, 3, 4]
    assert images.labels.tolist() == [0, 1, 2, 2]
    assert not images.notes
    found = datasets.ImageFolder(folder)
    assert found.classes == images.class_names


def test_an_empty_folder_of_a_class_that_is_named_moves_no_number(tmp_path):
    save(tmp_path / "dog" / "a.png", gray(1))
    (tmp_path / "cat" / "deep").mkdir(parents=True)
    (tmp_path / "__MACOSX" / "dog").mkdir(parents=True)
    with pytest.raises(InputError, match="cat holds no images, and would"):
        image_source.read(tmp_path)
    named = image_source.read(tmp_path, ["cat", "dog"])
    assert named.labels.tolist() == [1]
    assert len(image_source.read(tmp_path, labelled=False)) == 1
    (tmp_path / "cat" / "deep").rmdir()
    (tmp_path / "cat").rmdir()
    assert image_source.read(tmp_path).class_names == ["dog"]


def fill(folder, kind):
    if kind == "unlike":
        save(folder / "a.png", gray(1, (4, 5)))
        save(folder / "b.png", gray(1, (5, 4)))
    elif kind == "unreadable":
        save(folder / "a.png", gray(1))
        (folder / "b.png").write_bytes(b"no image")
    elif kind == "cut":
        save(
            folder / "a.png", np.arange(2500, dtype=np.uint8).reshape(50, 50)
        )
        content = (folder / "a.png").read_bytes()
        (folder / "a.png").write_bytes(content[: len(content) // 2])
    elif kind == "deep":
        save(folder / "a.png", np.full((4, 4), 300, np.uint16))
    elif kind == "numbers":
        for number in (2, 10):
            save(folder / str(number) / "a.png", gray(1))
    elif kind.startswith("dangling"):
        save(folder / "cat" / "a.png", gray(1))
        name = "cat/b.png" if kind == "dangling" else "dog"
        (folder / name).symlink_to("../.git/annex/object")
    elif kind == "beside":
        save(folder / "a.png", gray(1))
        save(folder / "cat" / "a.png", gray(1))


FOLDERS = {
    "empty": "holds no images: expected files .bmp, .jpeg",
    "unlike": r"unlike sizes: .*b.png is 4 x 5, .*a.png is 5 x 4",
    "unreadable": r"b.png: cannot be read as an image",
    "cut": r"a.png: cannot be read as an image",
    "deep": "a.png: pixels of more than 8 bits",
    "numbers": "folders are numbers, which torchvision orders as 10, 2",
    "dangling": r"cat/b.png: a link to .*annex/object, .*: fetch the data",
    "dangling class": r"dog: a link to .*annex/object, .*: fetch the data",
    "beside": "a.png lies beside folders of classes",
}


@pytest.mark.parametrize("kind", FOLDERS)
def test_folders_that_cannot_be_read_are_told(tmp_path, kind):
    fill(tmp_path, kind)
    with pytest.raises(InputError, match=FOLDERS[kind]) as told:
        image_source.read(tmp_path)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ((6, 4, 5), (6, 1, 4, 5)),
        ((6, 3, 4, 5), (6, 3, 4, 5)),
        ((6, 4, 5, 3), (6, 3, 4, 5)),
        ((6, 4, 5, 1), (6, 1, 4, 5)),
    ],
)
def test_arrays_in_a_file(tmp_path, shape, wanted):
    pixels = np.arange(np.prod(shape)).reshape(shape).astype(np.uint8)
    np.savez(tmp_path / "a.npz", images=pixels, labels=np.arange(6))
    images = image_source.read(tmp_path / "a.npz")
    assert images.pixels.shape == wanted and len(images.labels) == 6
    last = pixels.reshape(-1)[-1]
    assert images.pixels[-1, -1, -1, -1] == last


ARRAYS = {
    "no array 'images'; it has pictures": {
        "pictures": np.zeros((3, 4, 4), np.uint8)
    },
    "float64 from 0 to 0: expected uint8": {"images": np.zeros((3, 4, 4))},
    "images: image 1 .from 0. has NaN or infinity": {
        "images": np.array([0, np.nan, 0], np.float32).reshape(3, 1, 1)
    },
    "images: image 2 .from 0. has NaN or infinity": {
        "images": np.array([0, 0, np.inf], np.float32).reshape(3, 1, 1)
    },
    r"shape \(3, 2, 4, 4\): expected": {
        "images": np.zeros((3, 2, 4, 4), np.uint8)
    },
    "images differ: 3 in .*images, 2 in .*labels": {
        "images": np.zeros((3, 4, 4), np.uint8),
        "labels": np.zeros(2, int),
    },
    "image 1 .*has -1": {
        "images": np.zeros((2, 4, 4), np.uint8),
        "labels": np.array([0, -1]),
    },
}


@pytest.mark.parametrize("sentence", ARRAYS)
def test_arrays_that_do_not_fit_are_told(tmp_path, sentence):
    np.savez(tmp_path / "a.npz", **ARRAYS[sentence])
    with pytest.raises(InputError, match=sentence) as told:
        image_source.read(tmp_path / "a.npz")
    assert "a.npz" in str(told.value) and "\n" not in str(told.value)


def test_an_array_inside_a_file_is_not_named(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.zeros((3, 4, 4), np.uint8))
    spec = f"{tmp_path}/a.npz:images"
    with pytest.raises(InputError, match=r"expected .*a\.npz alone"):
        image_source.read(spec)


def test_a_header_of_python_2_is_no_remark(tmp_path, recwarn):
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (3L, 4, 4)}\n"
    size = len(header).to_bytes(2, "little")
    content = b"\x93NUMPY\x01\x00" + size + header.encode() + bytes(48)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr("images.npy", content)
    assert len(image_source.read(tmp_path / "a.npz")) == 3
    assert not recwarn


def test_functions_return_images_with_or_without_labels(tmp_path):
    (tmp_path / "data.py").write_text(
        "import numpy as np, torch\n"
        "def test(): return torch.zeros(4, 3, 8, 8), np.arange(4)\n"
        "def calibration(): return np.zeros((2, 8, 8), np.uint8)\n"
        "def three(): return [*test(), None]\n"
        "from torch.utils import data\n"
        "def loader(): return data.DataLoader([1, 2])\n"
        "def pairs(): return data.TensorDataset(test()[0], test()[0])\n"
        "def nothing(): pass\n"
    )
    spec = tmp_path / "data.py"
    images = image_source.read(f"{spec}:test")
    assert images.pixels.dtype == torch.float32
    assert images.labels.tolist() == [0, 1, 2, 3]
    assert image_source.read(f"{spec}:calibration").labels is None
    for name, kind in (
        ("three", "list"),
        ("loader", "DataLoader"),
        ("pairs", "TensorDataset"),
        ("nothing", "NoneType"),
    ):
        told = f"labels, and returned a {kind}"
        with pytest.raises(InputError, match=told) as caught:
            image_source.read(f"{spec}:{name}")
        assert ("numbers" in str(caught.value)) == (name == "three")
    with pytest.raises(InputError, match="there is nothing of this"):
        image_source.read(tmp_path / "nothing")


def test_those_that_judge_do_not_calibrate():
    pixels = torch.arange(100, dtype=torch.uint8).reshape(100, 1, 1, 1)
    images = image_source.Images(pixels, np.arange(100))
    calibration, test = image_source.split(images, 30, seed=1)
    found = [set(x.pixels.flatten().tolist()) for x in (calibration, test)]
    assert [len(x) for x in found] == [30, 70] and not found[0] & found[1]
    assert test.labels.tolist() == test.pixels.flatten().tolist()
    again, _ = image_source.split(images, 30, seed=1)
    other, _ = image_source.split(images, 30, seed=2)
    assert torch.equal(again.pixels, calibration.pixels)
    assert not torch.equal(other.pixels, calibration.pixels)
    assert len(image_source.split(images, None, 0)[0]) == 50
    assert len(image_source.drawn(images, 40, 0)) == 40
    for wrong in (0, 99, 100):
        with pytest.raises(InputError, match="of 100 images"):
            image_source.split(images, wrong, 0)
    with pytest.raises(InputError, match="=0 of 1 images"):
        image_source.split(images.take(np.arange(1)), None, 0)
    for draw in (image_source.split, image_source.drawn):
        with pytest.raises(InputError, match="seed=-1: expected a whole"):
            draw(images, 3, -1)
    with pytest.raises(InputError, match="1 to 100"):
        image_source.drawn(images, 101, 0)
