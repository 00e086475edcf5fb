"""A reader's checkpoint: prefixes, wrappers, precisions, and other files."""

import io

import numpy as np
import pytest
import torch
from torch import nn

from ptq.graph import UnsupportedError
from ptq.graph.checkpoints import filled


def network(width=4):
    made = nn.Sequential(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width))
    return made.eval()


def states(state):
    """The ways in which a state is found in files."""
    return {
        "plain": state,
        "parallel": {f"module.{n}": t for n, t in state.items()},
        "compiled": {f"_orig_mod.module.{n}": t for n, t in state.items()},
        "wrapped": {"epoch": 3, "state_dict": state},
        "wrapped twice": {
            "model": {f"module.{n}": t for n, t in state.items()}
        },
        "wrapped deep": {"model": {"state_dict": state}},
        "in a trainer": {f"model.{n}": t for n, t in state.items()},
        "in two": {
            f"module.net.model.{n}": t
            for n, t in state.items()
            if "batches" not in n
        },
        "uncounted": {n: t for n, t in state.items() if "batches" not in n},
    }


@pytest.mark.parametrize("kind", states({}))
def test_filled(kind, tmp_path):
    trained, fresh = network(), network()
    path = tmp_path / "w.pt"
    torch.save(states(trained.state_dict())[kind], path)
    before = fresh[0].weight.clone()
    made = filled(fresh, path)
    images = torch.rand(2, 3, 8, 8)
    assert torch.equal(made(images), trained(images))
    assert torch.equal(fresh[0].weight, before)


def test_parts_of_a_network_may_be_called_module(tmp_path):
    trained, fresh = (
        nn.ModuleDict({"0": network()[0], "module": network()})
        for _ in range(2)
    )
    torch.save(trained.state_dict(), tmp_path / "w.pt")
    made = filled(fresh, tmp_path / "w.pt").state_dict()
    for name, tensor in trained.state_dict().items():
        assert torch.equal(made[name], tensor)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_those_numbers(dtype, tmp_path):
    trained = network().to(dtype)
    torch.save(trained.state_dict(), tmp_path / "w.pt")
    told = f"{str(dtype).removeprefix('torch.')} numbers: converted"
    with pytest.warns(UserWarning, match=told):
        made = filled(network(), tmp_path / "w.pt")
    assert made[0].weight.dtype == torch.float32
    assert torch.equal(made[0].weight, trained[0].weight.float())


def other_bias(change):
    state = network().state_dict()
    return state | {"0.bias": change(state["0.bias"])}


class Evil:
    def __reduce__(self):
        return eval, ("1 / 0",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (network(8).state_dict(), r"another network: 0.bias is \(8,\) there"),
        (network()[:1].state_dict(), "1.bias is absent there"),
        (
            network().state_dict() | {"2.weight": torch.ones(1)},
            r"2.weight is \(1,\) there, absent in Sequential",
        ),
        (network(), "holds no plain tensors: save model.state_dict"),
        (Evil(), "holds no plain tensors"),
        ([torch.ones(3)], "no tensors by name"),
        ({"lr": 0.1}, "no tensors by name"),
        ({0: torch.ones(3)}, "no tensors by name, but 0"),
        (
            network().state_dict() | {"module.0.weight": torch.ones(1)},
            "two tensors for 0.weight: 0.weight and module.0.weight: ",
        ),
        (other_bias(torch.Tensor.to_sparse), "0.bias is sparse, nested or"),
        (other_bias(lambda b: b.to("meta")), r"0.bias is .* \(meta device\)"),
        (
            other_bias(lambda b: b.to(torch.complex64)),
            r"0.bias is complex \(complex64\): expected float32; save its re",
        ),
        (
            other_bias(torch.Tensor.char),
            "0.bias is int8: expected float numbers, not codes",
        ),
        (
            {f"model.{n}": t for n, t in network()[:1].state_dict().items()},
            "of another network: 0.bias is absent there",
        ),
    ],
)
def test_refused(content, message, tmp_path):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(UnsupportedError, match=f"w.pt.*{message}"):
        filled(network(), tmp_path / "w.pt")


def saved(content, **how):
    buffer = io.BytesIO()
    torch.save(content, buffer, **how)
    return buffer.getvalue()


def flipped(content, part):
    """One bit of the numbers of ``part`` is another."""
    place = content.index(part.detach().numpy().tobytes()[:16])
    return (
        content[:place] + bytes([content[place] ^ 64]) + content[place + 1 :]
    )


def as_folder(content, part):
    """The list of a zip file says that ``part`` of it is a folder."""
    begin = content.rindex(b"PK\x01\x02", 0, content.rindex(part))
    return content[: begin + 38] + b"\x10" + content[begin + 39 :]


def scripted():
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(network()), buffer)
    return buffer.getvalue()


def zipped():
    buffer = io.BytesIO()
    np.savez(buffer, images=np.ones(3))
    return buffer.getvalue()


def test_missing_and_damaged_files(tmp_path):
    with pytest.raises(UnsupportedError, match="w.pt: No such file"):
        filled(network(), tmp_path / "w.pt")
    made = network()
    whole = saved(made.state_dict())
    old = saved(made.state_dict(), _use_new_zipfile_serialization=False)
    for content, message in (
        (b"", "is empty"),
        (whole[: len(whole) // 2], "is cut off or damaged"),
        (whole[:-1], "is cut off or damaged"),
        (flipped(whole, made[0].weight), "is cut off or damaged"),
        (old[: len(old) // 2], "is cut off or damaged"),
        (as_folder(whole, b"/data/0"), "is cut off or damaged"),
        (b"text", "is no file of torch.save"),
        (zipped(), "is no file of torch.save"),
        (scripted(), "is a TorchScript file"),
    ):
        (tmp_path / "w.pt").write_bytes(content)
        with pytest.raises(UnsupportedError, match=f"w.pt {message}"):
            filled(network(), tmp_path / "w.pt")


def test_checksums_may_be_left_out(tmp_path):
    made = network()
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(made.state_dict(), tmp_path / "w.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    found = filled(network(), tmp_path / "w.pt")
    assert torch.equal(found[0].weight, made[0].weight)


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (("model",), "state_dict, model"),
        (("state_dict_ema",), "state_dict, state_dict_ema"),
        (("ema", "module"), "state_dict, ema.module"),
    ],
)
def test_two_states_are_not_chosen_from(more, named, tmp_path):
    averaged = {f"module.{n}": t for n, t in network().state_dict().items()}
    for name in reversed(more):
        averaged = {name: averaged}
    content = {"state_dict": network().state_dict(), "epoch": 3} | averaged
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(UnsupportedError, match=rf"2 states \({named}\)"):
        filled(network(), tmp_path / "w.pt")


def test_states_are_alike_whatever_all_names_begin_with(tmp_path):
    state = network().state_dict()
    content = {
        "state_dict": {f"model.{n}": t for n, t in state.items()},
        "ema": network().state_dict(),
    }
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(UnsupportedError, match="2 states .state_dict, ema"):
        filled(network(), tmp_path / "w.pt")


def test_other_tensors_beside_a_state_are_none(tmp_path):
    made = network()
    stepped = torch.optim.Adam(made.parameters())
    made(torch.rand(2, 3, 8, 8)).sum().backward()
    stepped.step()
    content = {
        "model": made.state_dict(),
        "optimizer": stepped.state_dict(),
        "pixels": {"mean": torch.ones(3), "std": torch.ones(3)},
        "net": {},
    }
    torch.save(content, tmp_path / "w.pt")
    found = filled(network(), tmp_path / "w.pt")
    assert torch.equal(found[0].weight, made[0].weight)
