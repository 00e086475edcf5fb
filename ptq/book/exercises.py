"""Three networks with a planted fault, and the grader of the answers.

This file holds the solutions of the chapter "Find the fault".
"""

import copy
import re
import textwrap
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ptq import input_checks
from ptq.engines import eager_layers, torch_eager
from ptq.experiment import eager_biases
from ptq.methods import eager_folding
from ptq.networks.compact_cnn import LAYERS


@dataclass(frozen=True)
class Suspect:
    """A quantized network as the reader gets it.

    ``claim`` says what its maker believes was done to it. ``prepared`` is the
    same network before conversion, with observers and without rounding;
    ``quantized`` is the one that runs.
    """

    claim: str
    prepared: nn.Module
    quantized: nn.Module


def faulty(name: str, network: nn.Module, images: Tensor) -> Suspect:
    """Quantize ``network`` with the fault that is planted in ``name``.

    ``name`` is "a", "b" or "c"; ``images`` are the calibration images,
    float32 (N, 3, 32, 32) in [-1, 1]. Raises ValueError for another name.
    """
    _check_name(name)
    return PLANTED[name].build(network, images)


def _half_folded(network: nn.Module, images: Tensor) -> Suspect:
    """BN is folded into the last convolution's bias, not its weights."""
    folded, (conv, _, _) = eager_folding.fold(network), network.blocks[-1]
    unfolded = copy.deepcopy(getattr(network, conv).weight)
    getattr(folded, conv).weight = unfolded
    return _quantized(folded, images)


def _wrongly_normalized(network: nn.Module, images: Tensor) -> Suspect:
    """Calibration images are normalized for another network."""
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    shifted = ((images + 1) / 2 - mean) / std
    # The package's warning would reveal the fault.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", input_checks.RangeWarning)
        return _quantized(eager_folding.fold(network), shifted)


def _uncorrected(network: nn.Module, images: Tensor) -> Suspect:
    """The correction is computed, but its result is not used."""
    folded = eager_folding.fold(network)
    made = _quantized(folded, images)
    quantized = made.quantized
    corrected = eager_biases.correct_biases(folded, quantized, images)
    found = eager_layers.changes(quantized, corrected).values()
    largest = max(change.bias for change in found)
    claim = f"{made.claim}; biases corrected, largest shift {largest:.2g}"
    return Suspect(claim, made.prepared, quantized)


def _quantized(folded: nn.Module, images: Tensor) -> Suspect:
    prepared = torch_eager.prepare(folded, eager_folding.fusable(folded))
    claim = f"BN folded; calibrated with {len(images)} images"
    return Suspect(claim, prepared, torch_eager.convert(prepared, images))


@dataclass(frozen=True)
class Planted:
    """How to make a fault, its kind and place, and what reveals it."""

    build: Callable[[nn.Module, Tensor], Suspect]
    kind: str
    why: str
    layer: str | None = None


PLANTED = {
    "a": Planted(
        _half_folded,
        "unfolded",
        "BN was not folded into the weights of conv2. The prepared network, "
        "which does not round, already differs from the float one there; "
        "the weights lack the gain of BN.",
        "conv2",
    ),
    "b": Planted(
        _wrongly_normalized,
        "normalization",
        "the calibration images were normalized with another mean and "
        "standard deviation (those of ImageNet). The prepared network is "
        "right, and the input's grid is made for a range that the test "
        "images do not have.",
    ),
    "c": Planted(
        _uncorrected,
        "no-op",
        "the correction changed nothing. Weights, biases and grids are those "
        "of the folded network without correction.",
    ),
}


@dataclass(frozen=True)
class Kind:
    """A kind of fault: its title, the words for it, and how to test it."""

    title: str
    words: str
    test: str


_BN = r"(?=.*\b(bn\d?|fold\w*|gain|gamma)\b)"
_LACKING = (
    r"(?=.*\b(not|never|without|missing|lacks?|drop\w*|forg[eo]t\w*|skip\w*"
    r"|omit\w*|removed|left out|lost|half|only|un\w*)\b)"
)
_CORRECTION = r"\b(correction\w*|corrected|correcting|shifts?)\b"
_NOTHING = (
    r"\b(not|never|no|nothing|missing|without|zero|lost|dropped|discard\w*"
    r"|ignored|thrown|copy|unchanged|un\w*)\b"
)
_CONTROL = (
    "Then the prepared network, which does not round yet, would already "
    "differ from the float one. Compare the two, layer by layer."
)
_GRIDS = (
    "Then values would go further beyond the ends of their grids than in the "
    "sound network. Look at the use of the grids."
)
KINDS = {
    "unfolded": Kind(
        "batch normalization not folded into a layer",
        rf".*\bunfolded\b|(?!.*\b(twice|double)\b){_BN}{_LACKING}",
        _CONTROL,
    ),
    "twice": Kind(
        "batch normalization applied twice",
        rf"{_BN}(?=.*\b(twice|double)\b)",
        _CONTROL,
    ),
    "normalization": Kind(
        "calibration images normalized otherwise than the test images",
        r".*(normali[sz]|standardi[sz]|preprocess|imagenet|\bmean and std\b)",
        "Then the input's grid would not fit the images. Compare the ends "
        "of the two.",
    ),
    "no-op": Kind(
        "a correction that changes nothing",
        r".*\bno ?op\b|.*\b(changed|changes|did|does) nothing\b"
        rf"|(?=.*{_CORRECTION})(?=.*{_NOTHING})"
        r"|.*\bbias\w* .*\b(unchanged|same|equal|identical|not changed)\b",
        "Then the network would equal, number for number, the one without "
        "the correction that it claims. Does it claim one? Compare the two.",
    ),
    "overcorrected": Kind(
        "a correction that goes wrong",
        rf"(?=.*{_CORRECTION})(?=.*\b(wrong|too (large|big)|sign|twice)\b)"
        r"|.*\bovercorrect",
        "Then a bias would have moved, and too far. Compare the biases with "
        "those of the sound network.",
    ),
    "few": Kind(
        "too few calibration images",
        r".*\b(few|fewer|small|not enough|too little)\b.*"
        r"\b(picture|image|calibration|sample|data)",
        _GRIDS + " The sound network had the same draw.",
    ),
    "clipping": Kind("ranges that clip", r".*(clip|saturat|narrow)", _GRIDS),
    "outlier": Kind(
        "an outlier among the calibration images",
        r".*(outlier|extreme)",
        "Then the sound network, which had the same draw, would suffer too.",
    ),
    "coarse": Kind(
        "weights on too few bits",
        r".*\b(bits?|coarse\w*|int4)\b",
        "Then a layer would use fewer codes for its weights than the same "
        "layer of the sound network. Count them.",
    ),
    "sound": Kind(
        "nothing is wrong",
        r".*\b(nothing (is )?wrong|no fault|sound|fine|all right)\b",
        "Something is. Does the network do what its maker claims?",
    ),
}


@dataclass(frozen=True)
class Feedback:
    """The grader's verdict, and a text that explains it."""

    right: bool
    text: str

    def __bool__(self) -> bool:
        """True for a right answer."""
        return self.right

    def __str__(self) -> str:
        """The text, in lines that fit a page."""
        return textwrap.fill(self.text, 72)


def grade(name: str, answer: str) -> Feedback:
    """Judge ``answer``, in the reader's words, for the network ``name``.

    A right answer names the kind of fault, and the layer where the fault is
    in one. For a wrong answer, the text names a measurement that contradicts
    it. Raises ValueError for an unknown name, TypeError where an answer is
    not a text.
    """
    _check_name(name)
    if not isinstance(answer, str):
        raise TypeError(f"{answer!r}: expected an answer in words")
    if not answer.strip():
        return Feedback(False, "No answer yet.")
    said, planted = _plain(answer), PLANTED[name]
    kinds = [k for k, kind in KINDS.items() if re.match(kind.words, said)]
    if len(kinds) != 1:
        return Feedback(False, _not_one(kinds))
    if kinds[0] != planted.kind:
        kind = KINDS[kinds[0]]
        return Feedback(False, f"Not this: {kind.title}. {kind.test}")
    if planted.layer and (hint := _layer_missing(said, planted.layer)):
        return Feedback(False, hint)
    return Feedback(True, f"Right: {planted.why}")


def _plain(answer: str) -> str:
    """One line of lower case, with one spelling of batch normalization."""
    text = re.sub(r"n['’]t\b", " not", answer.lower())
    text = " ".join(re.sub(r"[^\w\s]|_", " ", text).split())
    norm = r"\b(batch ?norm(ali[sz]ation)?|normali[sz]ation layer)s?"
    return re.sub(norm, "bn", text)


def _not_one(kinds: list[str]) -> str:
    if kinds:
        named = "; ".join(KINDS[kind].title for kind in kinds)
        return f"This names more than one fault ({named}). Decide for one."
    known = "; ".join(sorted(kind.title for kind in KINDS.values()))
    return (
        "The grader does not understand this. Say what was done wrong, not "
        f"what follows from it. It knows: {known}."
    )


def _layer_missing(said: str, layer: str) -> str | None:
    said = re.sub(r"\bfirst conv\w*", "conv1", said)
    said = re.sub(r"\b(second|last) conv\w*", "conv2", said)
    said = re.sub(r"\b(?:bn|conv) ?([12])\b", r"conv\1", said)
    found = {n for n in LAYERS if re.search(rf"\b{n}\b", said)}
    if found == {layer}:
        return None
    if not found:
        return f"The kind is right. In which layer: {', '.join(LAYERS)}?"
    return (
        f"The kind is right, but not in {' and '.join(sorted(found))}. Which "
        "is the first layer that differs?"
    )


def _check_name(name: str) -> None:
    if name not in PLANTED:
        raise ValueError(
            f"{name!r}: no such network; expected {', '.join(PLANTED)}"
        )
