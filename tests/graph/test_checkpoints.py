"""A reader's checkpoint: prefixes, wrappers, precisions, and other files."""

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


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_those_numbers(dtype, tmp_path):
    trained = network().to(dtype)
    torch.save(trained.state_dict(), tmp_path / "w.pt")
    told = f"{str(dtype).removeprefix('torch.')} numbers: converted"
    with pytest.warns(UserWarning, match=told):
        made = filled(network(), tmp_path / "w.pt")
    assert made[0].weight.dtype == torch.float32
    assert torch.equal(made[0].weight, trained[0].weight.float())


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
    ],
)
def test_refused(content, message, tmp_path):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(UnsupportedError, match=f"w.pt.*{message}"):
        filled(network(), tmp_path / "w.pt")


def test_missing_and_damaged_files(tmp_path):
    with pytest.raises(UnsupportedError, match="w.pt: No such file"):
        filled(network(), tmp_path / "w.pt")
    torch.save(network().state_dict(), tmp_path / "w.pt")
    whole = (tmp_path / "w.pt").read_bytes()
    for content in (b"", whole[: len(whole) // 2], b"text"):
        (tmp_path / "w.pt").write_bytes(content)
        with pytest.raises(UnsupportedError, match="holds no plain tensors"):
            filled(network(), tmp_path / "w.pt")
