"""A network in one file: its size, what it says, and what is refused."""

import json
import os
import pickle
import zlib
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save
from small_network import pixels_of, small
from torch import nn

from ptq.engines import integers, onnx_runtime
from ptq.graph import UnsupportedError
from ptq.quantizer import tensor_files
from ptq.quantizer.layer import Layer
from ptq.quantizer.network import QuantizedNetwork
from ptq.quantizer.quantizing import quantize

BITS = (1, 2, 3, 4, 6, 8)


@pytest.fixture(scope="module")
def images():
    return pixels_of(32, 3, 16, 16) / 127.5 - 1


@pytest.fixture(scope="module")
def network(images):
    return quantize(small(), images)


@pytest.fixture(scope="module")
def whole(network, tmp_path_factory):
    """A saved network: its file, and what is in it."""
    path = tmp_path_factory.mktemp("whole") / "a.ptq"
    network.save(path)
    text, tensors = tensor_files.read(path)
    return SimpleNamespace(path=path, text=text, tensors=tensors)


@pytest.fixture(scope="module")
def coded(network, tmp_path_factory):
    """The same with weights of two bits, entropy coded."""
    path = tmp_path_factory.mktemp("coded") / "a.ptq"
    mostly_zero(narrowed(network, 2)).save(path, coded=True)
    text, tensors = tensor_files.read(path)
    return SimpleNamespace(path=path, text=text, tensors=tensors)


def narrowed(network, bits):
    """The same with weights of so many bits; of one bit, their signs."""
    made = network.copy()
    for name, layer in made.integers.items():
        low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        codes = layer.codes.int() >> (8 - bits)
        if bits == 1:
            low, high, codes = -1, 1, 2 * codes + 1
        grid = replace(layer.grid, qmin=low, qmax=high)
        made.integers[name] = Layer(codes.to(torch.int8), grid, layer.bias)
    return made


def mostly_zero(network):
    """Two of three codes are zero, where there is a zero."""
    for layer in network.integers.values():
        if layer.bits > 1:
            layer.codes.view(-1)[1::3], layer.codes.view(-1)[2::3] = 0, 0
    return network


def counted(network, bits):
    """Bytes of its numbers: weights, biases, scales and zero points."""
    found = 0
    for node in network.graph.nodes.values():
        if layer := network.integers.get(node.name):
            weights = int(np.prod(layer.codes.shape))
            found += -(-weights * bits // 8) + 4 * layer.codes.shape[0]
            found += 4 * layer.grid.scale.numel()
    return found + 8 * len(network.grids)


def fits(size, network, bits):
    count = counted(network, bits)
    return count < size <= 1.03 * count + 4000


def same(first, second, images):
    """Equal codes, grids, predictions; in integers and a runtime, too."""
    assert str(first) == str(second)
    assert first.integers.keys() == second.integers.keys()
    for name, layer in first.integers.items():
        other = second.integers[name]
        assert torch.equal(layer.codes, other.codes)
        assert torch.equal(layer.bias, other.bias)
        assert torch.equal(layer.grid.scale, other.grid.scale)
        assert other.codes.dtype == torch.int8
    assert first.graph.nodes == second.graph.nodes
    for name, grid in first.grids.items():
        assert vars(grid) == vars(second.grids[name])
    assert torch.equal(first(images), second(images))
    exact = (integers.load(one) for one in (first, second))
    assert torch.equal(*(run.codes(images) for run in exact))
    runs = (onnx_runtime.load(one, threads=1) for one in (first, second))
    assert torch.equal(*(run(images) for run in runs))


def test_saved_and_loaded(network, images, tmp_path):
    size = network.save(tmp_path / "a.ptq")
    assert size == (tmp_path / "a.ptq").stat().st_size
    loaded = QuantizedNetwork.load(tmp_path / "a.ptq")
    same(network, loaded, images)
    loaded.save(tmp_path / "b.ptq")
    both = (tmp_path / "a.ptq", tmp_path / "b.ptq")
    assert both[0].read_bytes() == both[1].read_bytes()
    # The float weights are those of the codes, the biases in their units.
    wide = network.integers["wide"]
    values = wide.codes * wide.grid.scale[:, None, None, None]
    assert torch.equal(loaded.graph.constants["wide.weight"], values)
    error = (loaded.graph(images) - network.graph(images)).abs().max()
    assert 0 < error < 0.1 * network.graph(images).abs().max()


@pytest.mark.parametrize("bits", BITS)
def test_any_bits(network, images, tmp_path, bits):
    """Runtimes without narrow weights get the same codes in 8 bits."""
    made = narrowed(network, bits)
    size = made.save(tmp_path / "a.ptq")
    assert fits(size, made, bits)
    loaded = QuantizedNetwork.load(tmp_path / "a.ptq")
    assert {layer.bits for layer in loaded.integers.values()} == {bits}
    same(made, loaded, images)
    found = onnx_runtime.load(loaded, threads=1)(images).argmax(1)
    assert (found == loaded(images).argmax(1)).float().mean() > 0.9


@pytest.mark.parametrize("bits", BITS)
def test_entropy_coded(network, images, tmp_path, bits):
    """Each layer takes the shorter way, and what is read back is equal."""
    made, path = mostly_zero(narrowed(network, bits)), tmp_path / "a.ptq"
    size, packed = made.save(path, coded=True), made.save(tmp_path / "b.ptq")
    assert size < packed if 1 < bits < 8 else size == packed
    loaded = QuantizedNetwork.load(path)
    same(made, loaded, images)
    loaded.save(tmp_path / "b.ptq", coded=True)
    assert path.read_bytes() == (tmp_path / "b.ptq").read_bytes()
    # A version that knows no coder says so; it does not miss a tensor.
    assert b"format 2, " in path.read_bytes()


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_shipped_networks(shipped, tmp_path, bits):
    torch.manual_seed(0)
    images = torch.rand(16, 3, 4, 4).repeat_interleave(8, 2)
    images = images.repeat_interleave(8, 3) * 2 - 1
    made = quantize(shipped, images, weight_bits=bits)
    assert fits(made.save(tmp_path / "a.ptq"), made, bits)
    loaded = QuantizedNetwork.load(tmp_path / "a.ptq")
    assert torch.equal(made(images), loaded(images))


class Odd(nn.Module):
    """Arguments of every kind, a shared layer, and functions kept."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.twice = nn.Conv2d(4, 4, 3, padding=1)
        self.slope, self.norm = nn.PReLU(4), nn.GroupNorm(2, 4)
        self.up = nn.ConvTranspose2d(4, 2, 2, 2)
        self.register_buffer("mask", torch.eye(16) > 0)

    def forward(self, x):
        x = self.slope(self.twice(self.twice(self.conv(x))))
        x = nn.functional.gelu(self.norm(x), approximate="tanh").sin()
        x = x.masked_fill(self.mask, -0.25).clamp(-float("inf"), 3)
        x = nn.functional.pad(self.up(x), (1, 1, 1, 1), mode="reflect")
        return torch.cat([x.mean((2, 3)), x.amax((2, 3)) * 0.5], 1)


def test_all_kinds_of_arguments(images, tmp_path):
    torch.manual_seed(0)
    kept = ["sin", "masked_fill"]
    made = quantize(Odd().eval(), images, keep_float=kept)
    assert "-inf" in str([n.args for n in made.graph.nodes.values()])
    made.save(tmp_path / "a.ptq")
    loaded = QuantizedNetwork.load(tmp_path / "a.ptq")
    assert torch.equal(made(images), loaded(images))
    assert loaded.graph.nodes == made.graph.nodes
    assert loaded.kept == made.kept


def test_any_safetensors_reader_shows_it(whole, network):
    with safe_open(whole.path, "np") as opened:
        (line,) = opened.metadata().values()
        text = json.loads(zlib.decompress(opened.get_tensor("graph")))
        codes = opened.get_tensor("codes/conv").view(np.int8)
    assert line.startswith("format 1, version 1.")
    assert [row[0] for row in text["layers"]] == ["conv", "wide", "fc"]
    # At 8 bits a packed code is a byte: the code above its lowest.
    found = codes.view(np.uint8).astype(int) - 127
    assert (found == network.integers["conv"].codes.numpy().ravel()).all()


def test_what_no_file_holds_is_refused_when_saved(network, tmp_path):
    path = tmp_path / "a.ptq"
    path.write_bytes(b"old")

    def refused(sentence, change):
        made = network.copy()
        change(made)
        with pytest.raises(UnsupportedError, match=sentence):
            made.save(path)
        assert path.read_bytes() == b"old"

    def layer(**new):
        return lambda n: n.integers.update(
            conv=replace(n.integers["conv"], **new)
        )

    def node(name, **new):
        return lambda n: n.graph.nodes.update(
            {name: replace(n.graph.nodes[name], **new)}
        )

    def grid(**new):
        return lambda n: n.grids.update(pool=replace(n.grids["pool"], **new))

    codes = network.integers["conv"].codes
    refused("conv: a code is beyond", layer(codes=codes.clone().fill_(-128)))
    refused("conv: its codes have", layer(codes=codes[..., :2]))
    refused("conv: its integers is", lambda n: n.integers.pop("conv"))
    refused("pool: its grid is", lambda n: n.grids.pop("pool"))
    refused("its scale is nan", grid(scale=torch.tensor(torch.nan)))
    refused(
        "zero point 300 is none", grid(zero_point=torch.tensor(300).int())
    )
    refused("from 0 to 200: expected", grid(qmax=200))
    refused(
        "more than 32 bits", layer(bias=torch.full((8,), 2**31 - 1).int())
    )
    refused("act .*: there is no op", node("act", op="system"))
    refused("act .*: 'aten.add_.*no", node("act", op="aten.add_.Tensor"))
    refused("act .*: its shape", node("act", shape=(-1, 9)))
    refused("its step|a step of its", grid(scale=torch.tensor(2.0**-39)))


class Ran(Exception):
    pass


def run():
    raise Ran


class Code:
    def __reduce__(self):
        return run, ()


def refused(path, sentence):
    with pytest.raises(tensor_files.FileError, match=sentence) as told:
        QuantizedNetwork.load(path)
    assert str(path) in str(told.value) and "\n" not in str(told.value)
    assert len(str(told.value)) < len(str(path)) + 400


def test_other_files_are_refused(tmp_path, whole, network):
    path = tmp_path / "a.ptq"
    refused(path, "No such file")
    refused(tmp_path, "Is a directory")
    foreign = "no packed network of ptq"
    header = b'{"__metadata__":{"format":"pt"}}'
    tensors = {"a": torch.zeros(2)}
    for content in (
        *(b"", b"x", bytes(8), pickle.dumps(Code()), b"\xff" * 99),
        (2**63 - 1).to_bytes(8, "little") + b"{}",
        len(header).to_bytes(8, "little") + header,
        *(save(tensors), save(tensors, {"format": "pt"})),
        save(tensors, {"ptq": "format x"}),
    ):
        path.write_bytes(content)
        refused(path, foreign)
    network.export_onnx(path)
    refused(path, foreign)
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", foreign)
    with path.open("wb") as file:  # a hole: it takes no room
        file.truncate(2**41)
    refused(path, foreign)


def test_a_newer_format_is_refused(whole, tmp_path):
    path = tmp_path / "a.ptq"
    content = whole.path.read_bytes()
    path.write_bytes(content.replace(b"format 1, ", b"format 3, "))
    refused(path, "by ptq 1.0.0 in format 3: ptq .* reads format 2; install")
    path.write_bytes(content.replace(b"format 1, ", b"format 0, "))
    refused(path, "is damaged")


def test_each_damage_is_refused(whole, tmp_path):
    path = tmp_path / "a.ptq"
    content = whole.path.read_bytes()
    generator = np.random.default_rng(0)
    head = 8 * (8 + int.from_bytes(content[:8], "little"))
    for place in (
        *range(0, head, 41),
        *generator.integers(0, 8 * len(content), 300),
    ):
        changed = bytearray(content)
        changed[place // 8] ^= 1 << place % 8
        path.write_bytes(changed)
        refused(path, "damaged|newer|no packed network")
    for end in generator.integers(0, len(content), 50):
        path.write_bytes(content[:end])
        refused(path, "damaged")
    path.write_bytes(content + b"\0")
    refused(path, "damaged")


def written(path, text, tensors, **changes):
    tensor_files.write(path, text | changes, tensors)
    return path


def test_lies_with_a_right_checksum_are_refused(whole, tmp_path):
    path, tensors = tmp_path / "a.ptq", whole.tensors

    def refuse(sentence, tensors=tensors, **changes):
        refused(written(path, whole.text, tensors, **changes), sentence)

    def row(field, place, *new):
        rows = [list(one) for one in whole.text[field]]
        for index, value in zip(new[::2], new[1::2], strict=True):
            rows[place][index] = value
        return {field: rows}

    def tensor(name, change):
        changed = tensors[name].clone()
        return tensors | {name: change(changed)}

    nodes = whole.text["nodes"]
    names = [one[0] for one in nodes]
    conv, last = names.index("conv"), len(nodes) - 1
    args = nodes[conv][2]
    refuse(
        "is made itself or later", **row("nodes", conv, 2, ["%fc", *args[1:]])
    )
    refuse("is made nowhere", **row("nodes", conv, 2, ["%no", *args[1:]]))
    for word, sentence in (
        ("os.system", "no operation 'os.system'"),
        ("aten.from_file.default", "is no operation on a tensor"),
        ("aten.relu_.default", "is no operation on a tensor"),
        ("aten._reshape_alias.default", "none of the functions of torch"),
        ("aten.as_strided.default", "none of the functions of torch"),
        ("aten.bernoulli.default", "none of the functions of torch"),
    ):
        refuse(sentence, **row("nodes", names.index("act"), 1, word))
    for name in ("../fc", "a\\b", "/etc", "..", "", "x" * 300, "a\n"):
        refuse("is no name", **row("nodes", last - 1, 0, name))
        refuse("is no name", **row("nodes", conv, 3, name or "/"))
        refuse("is no name", unused=[name])
    refuse("no layer has this name", **row("nodes", last, 0, "no"))
    refuse("name stands there twice", **row("nodes", last, 0, "conv"))
    refuse(
        "expected a size from 1 on",
        **row("nodes", conv, 2, [*args[:3], [0, 1], *args[4:]]),
    )
    refuse(
        "no argument",
        **row("nodes", conv, 2, [*args[:3], ["2", 1], *args[4:]]),
    )
    refuse("7 arguments|has 6", **row("nodes", conv, 2, args[:-1]))
    refuse("number from 1 on", **row("nodes", conv, 2, [*args[:-1], True]))
    refuse("conv", **row("nodes", conv, 2, [*args[:-1], 5]))
    refuse("no argument", **row("nodes", conv, 2, [{}, *args[1:]]))
    refuse("no argument", **row("nodes", conv, 2, [[[[[[1]]]]], *args[1:]]))
    refuse("output is none", output="no")
    refuse("expected 1 or more", images=[3, 0, 16])
    refuse("result|numbers|size|shape|values", images=[3, 2**30, 2**30])
    refuse("lacks, or adds", more=1)
    refuse("fewer biases", **row("layers", 0, 1, [10**9, 3, 3, 3]))
    refuse("fewer biases|bytes", **row("layers", 0, 1, [9, 3, 3, 3]))
    refuse("8 bits for codes -1 to 1", **row("layers", 0, 2, -1, 3, 1))
    refuse("8 bits for codes 0 to 0", **row("layers", 0, 2, 0, 3, 0))
    refuse("8 bits for codes", **row("layers", 0, 3, 2**40))
    refuse("uint8 for 0 bits", **row("layers", 0, 4, 0))
    refuse("bytes: expected", **row("layers", 0, 2, -1, 3, 1, 4, 1))
    refuse("its grid is", **row("grids", 0, 0, "x" * 10**6))
    refuse("'codes/no' is missing", **row("layers", 0, 0, "no"))
    refuse("is missing|scales", layers=whole.text["layers"][1:])
    refuse("fewer|more", **row("layers", 0, 5, False))
    refuse("zero point 256 on a grid of 8", **row("grids", 0, 2, 256))
    refuse("zero point -1", **row("grids", 0, 2, -1))
    refuse("grid of 9 bits", **row("grids", 0, 1, 9))
    refuse(
        "name stands there twice",
        **row("grids", 0, 0, whole.text["grids"][1][0]),
    )
    refuse("its grid is", **row("grids", 0, 0, "no"))
    refuse("grids and", grids=whole.text["grids"][1:])
    refuse("kept in float, but not", kept=["no"])
    refuse("integers is too many", kept=["conv"])
    refuse("normalization is", normalization=[[0.0], [0.0]])
    refuse("normalization is", normalization=[[0.0, 0.0], [1.0]])
    refuse("expected a list", normalization=[["0"], [1.0]])
    for value in (torch.nan, torch.inf, 0.0, -1.0, 1e-44):
        for name in ("weight_scales", "grid_scales"):
            changed = tensor(
                name, lambda t, v=value: t.index_fill(0, torch.tensor(1), v)
            )
            refuse("its scale is", changed)
    refuse("fewer biases", tensor("biases", lambda t: t[:-1]))
    refuse("more biases", tensor("biases", lambda t: torch.cat([t, t])))
    refuse("expected int8, and int32", tensor("biases", lambda t: t.long()))
    refuse(
        "float64|double|type", tensor("weight_scales", lambda t: t.double())
    )
    most = torch.iinfo(torch.int32).max
    refuse("32 bits", tensor("biases", lambda t: t.fill_(most)))
    refuse("do not fit", tensor("codes/conv", lambda t: t.fill_(255)))
    refuse("bytes: expected", tensor("codes/conv", lambda t: t[:-1]))
    refuse("int8 for", tensor("codes/conv", lambda t: t.to(torch.int8)))
    refuse("'../x' is too many", tensors | {"../x": torch.zeros(1)})
    refuse(
        "constants/x' is too many", tensors | {"constants/x": torch.zeros(1)}
    )
    refuse(
        "'biases' is missing",
        {n: t for n, t in tensors.items() if n != "biases"},
    )


def with_text(path, whole, content):
    """A file whose graph is these bytes, with a right checksum."""
    zeros = f"format 1, version 1.0.0, sha256 {tensor_files.ZEROS}"
    graph = torch.from_numpy(np.frombuffer(content, np.uint8).copy())
    made = save(whole.tensors | {"graph": graph}, {"ptq": zeros})
    path.write_bytes(sealed(made))
    return path


def sealed(content):
    """The bytes of a file with the checksum that they should have."""
    line = tensor_files.LINE.search(content.decode("latin-1"))
    if line is None:
        return content
    old = line[3].encode()
    new = tensor_files.checksum(content, line[3]).encode()
    return content.replace(old, new, 1)


def test_hostile_texts_are_refused(whole, tmp_path):
    path = tmp_path / "a.ptq"
    plain = json.dumps(whole.text)
    for text, sentence in (
        ("[" * 10**6, "no packed network: .*recursion"),
        ('{"a":' * 10**5, "recursion"),
        ("[]", "no network|has no attribute"),
        (plain[:-1] + ',"kept":[]}', "stands there twice"),
        (plain.replace("[1, 1]", "[NaN, 1]", 1), "NaN is no number"),
        (plain.replace("[1, 1]", "[Infinity, 1]", 1), "Infinity is no"),
        (plain.replace("[1, 1]", f"[{'9' * 5000}, 1]", 1), "digits"),
        (plain.replace("[1, 1]", f"[{'9' * 99}, 1]", 1), "no argument"),
        (plain[:-1], "no packed network"),
        (" " * 2**23 + plain, "cut off, or too long"),
        ("\ud800".encode("utf8", "surrogatepass").decode("latin-1"), "no p"),
    ):
        content = zlib.compress(text.encode("latin-1"))
        refused(with_text(path, whole, content), sentence)
    bomb = zlib.compress(bytes(2**28), 9)
    refused(with_text(path, whole, bomb), "cut off, or too long")
    for content in (b"", b"x" * 99, zlib.compress(plain.encode()) + b"x"):
        refused(with_text(path, whole, content), "no packed network")


def test_hostile_headers_are_refused(whole, tmp_path):
    path, content = tmp_path / "a.ptq", whole.path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    head, rest = content[8 : 8 + length], content[8 + length :]

    def refuse(head, sentence="no packed network"):
        head = head.ljust(-(-len(head) // 8) * 8)
        made = len(head).to_bytes(8, "little") + head + rest
        path.write_bytes(sealed(made))
        refused(path, sentence)

    refuse(head.replace(b'"shape":[216]', b'"shape":[9999999999999]'))
    end = str(len(rest)).encode()
    refuse(head.replace(end, b"99999999999999"))
    refuse(head.replace(b'"I32"', b'"F4096"'))
    refuse(head.replace(b'"I32"', b'"F8_E5M2"'))
    twice = head.rstrip().removesuffix(b"}")
    again = twice[twice.index(b'"biases"') :].partition(b"},")[0]
    refuse(twice + b"," + again + b"}}")
    refuse(b"[" * 10**5)
    refuse(head.replace(b'"biases"', b'"scales"'), "'biases'")


# What stands in for a value of the text, somewhere.
STRANGE = (
    *(None, True, False, -1, 0, 1, 2, 3, 127, 128, 255, 2**31, 2**40, 2**63),
    *(0.5, -0.0, 1e-40, 1e308, "", "../x", "%input", "%fc", "$wide.weight"),
    *("=tanh", "#inf", "input", "fc", "conv", "aten.sin.default", "linear"),
    *("add", "cat", "take", "part", "permute", "reshape", "max_pool", "pad"),
    *([], {}, [[]], [1], [0, 1], [1, 1, 1], ["%input"], [-1, 8]),
)


def places(text, found=()):
    """Where the text has values: (container, key), at any depth."""
    found = list(found)
    items = text.items() if isinstance(text, dict) else enumerate(text)
    for key, value in items:
        found.append((text, key))
        if isinstance(value, list | dict):
            found += places(value)
    return found


def mutated_text(text, draw):
    """A copy with one to three values changed, swapped, dropped, doubled."""
    text = json.loads(json.dumps(text))
    for _ in range(draw.integers(1, 4)):
        known = places(text)
        where, key = known[draw.integers(len(known))]
        other, place = known[draw.integers(len(known))]
        kind = draw.integers(6)
        if kind == 0 or isinstance(where, dict):
            where[key] = STRANGE[draw.integers(len(STRANGE))]
        elif kind == 1:
            where[key] = json.loads(json.dumps(other[place]))
        elif kind == 2:
            del where[key]
        elif kind == 3:
            where.insert(key, json.loads(json.dumps(where[key])))
        elif kind == 4 and type(where[key]) is int:
            where[key] += int(draw.choice([-1, 1, 7, 256, 10**6]))
        elif kind == 5 and isinstance(where[key], str):
            where[key] = where[key][:-1] + chr(draw.integers(32, 300))
        else:
            where[key], where[-1] = where[-1], where[key]
    return text


def mutated_tensors(tensors, draw):
    """A copy with one tensor of another kind, size, name, or content."""
    name = list(tensors)[draw.integers(len(tensors))]
    other = list(tensors)[draw.integers(len(tensors))]
    tensor, kind = tensors[name].clone(), draw.integers(8)
    if kind == 0:
        dtypes = (torch.uint8, torch.int32, torch.float32, torch.bfloat16)
        tensor = tensor.to(dtypes[draw.integers(len(dtypes))])
    elif kind == 1:
        tensor = tensor[: draw.integers(len(tensor) + 1)]
    elif kind == 2:
        tensor = tensor[None]
    elif kind == 3:
        tensor = torch.cat([tensor, tensor[:1]])
    elif kind == 4:
        tensor = tensors[other].clone()
    elif kind == 5 and tensor.dtype == torch.float32:
        odd = (torch.nan, -torch.inf, 0.0, -1.0, 1e-39, 1e-9, 1e9, 3e38)
        tensor[draw.integers(len(tensor))] = odd[draw.integers(len(odd))]
    else:
        raw = tensor.view(torch.uint8)
        raw[draw.integers(len(raw))] ^= 1 << int(draw.integers(8))
    if kind == 6:
        return {n: t for n, t in tensors.items() if n != name}
    if kind == 7:
        name += draw.choice(["x", "/x", "\n"])
    return tensors | {name: tensor.contiguous()}


def mutated_bytes(content, draw):
    """A bit turned, or some bytes cut out or doubled; then sealed again."""
    content, kind = bytearray(content), draw.integers(4)
    head = 8 + int.from_bytes(content[:8], "little")
    end = head if draw.integers(2) else len(content)
    place = int(draw.integers(end))
    if kind == 0:
        del content[place : place + int(draw.integers(1, 99))]
    elif kind == 1:
        content[place:place] = content[place : place + 9]
    else:
        content[place] ^= 1 << int(draw.integers(8))
    return sealed(bytes(content))


def accepted_means_what_it_says(path, again, coded=False):
    """What is loaded is all that the file holds, and it runs; else a reason.

    True where it was loaded. Another network is one, as a scale could be
    another: but then each of its values is.
    """
    try:
        loaded = QuantizedNetwork.load(path)
    except tensor_files.FileError as error:
        assert str(path) in str(error) and len(str(error)) < 999
        return False
    loaded.save(again, coded)
    given, said = tensor_files.read(path), tensor_files.read(again)
    assert json.dumps(given[0]) == json.dumps(said[0])
    assert given[1].keys() == said[1].keys()
    for name, tensor in given[1].items():
        assert tensor.dtype == said[1][name].dtype
        assert torch.equal(tensor, said[1][name])
    size = loaded.graph.nodes["input"].shape[1:]
    if np.prod(size, dtype=float) < 1e5:
        images = torch.zeros(2, *size).float()
        expected = loaded.graph.nodes[loaded.graph.output].shape[1:]
        assert loaded(images).shape[1:] == expected
        if not loaded.kept:
            assert integers.load(loaded)(images).shape[1:] == expected
    return True


@pytest.mark.parametrize(
    "times", [1, pytest.param(30, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(
    ("kind", "count"),
    [("text", 100), ("tensors", 600), ("bytes", 600), ("coded", 300)],
)
@pytest.mark.filterwarnings("ignore:images range")
def test_mutations(whole, coded, tmp_path, kind, count, times):
    count *= times
    whole = coded if kind == "coded" else whole
    draw = np.random.default_rng([count, len(kind)])
    path, content = tmp_path / "a.ptq", whole.path.read_bytes()
    loaded = 0
    for _ in range(count):
        if kind == "text":
            text = mutated_text(whole.text, draw)
            tensor_files.write(path, text, whole.tensors)
        elif kind in ("tensors", "coded"):
            tensors = mutated_tensors(whole.tensors, draw)
            tensor_files.write(path, whole.text, tensors)
        else:
            path.write_bytes(mutated_bytes(content, draw))
        loaded += accepted_means_what_it_says(
            path, tmp_path / "b.ptq", kind == "coded"
        )
    assert 0 < loaded < count / 2  # both ends were reached
