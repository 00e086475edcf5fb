"""A question in front of an explorer: first guess, then look.

The guess is a slider; what is said about each guess is written beforehand,
so that it works without a kernel, as explorers do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from ipywidgets import HTML, Layout, SelectionSlider, Stack, VBox, jslink

NO_GUESS = "?"
PROMPT = "Move the slider to your guess; then the explorer opens."


@dataclass(frozen=True)
class Question:
    """What a reader is asked, and what was measured.

    ``choices`` are the guesses that the slider offers, in ascending order;
    ``answer`` is the measured number. Both have the ``unit``, which is
    written behind them: " %", " dB" or " images". The answer is told with
    so many ``digits`` behind the point. ValueError where the choices are
    not ascending or the answer is not finite.
    """

    text: str
    choices: Sequence[float]
    answer: float
    unit: str = ""
    digits: int = 0

    def __post_init__(self):
        if list(self.choices) != sorted(set(self.choices)):
            raise ValueError(f"choices {self.choices}: expected ascending")
        if not abs(self.answer) < float("inf"):
            raise ValueError(f"answer {self.answer}: expected a number")

    def compared(self, guess: float) -> str:
        """One sentence each: the guess, what was measured, how they differ.

        ``guess`` is one of the ``choices``.
        """
        nearest = min(self.choices, key=lambda c: abs(c - self.answer))
        if guess == nearest:
            word = "No choice is nearer."
        else:
            word = "Too low." if guess < nearest else "Too high."
        measured = f"{self.answer:,.{self.digits}f}{self.unit}"
        told = f"Your guess: {guess:,g}{self.unit}. Measured: {measured}. "
        return told + word


def ask(question: Question, explorer: VBox) -> VBox:
    """An explorer that opens when the reader has guessed.

    Beside the explorer stands the comparison of the guess with the answer.
    The result is an explorer of its own, with the guess as first control.
    """
    guesses = [f"{c:,g}{question.unit}" for c in question.choices]
    slider = SelectionSlider(
        options=[NO_GUESS, *guesses],
        description="your guess",
        style={"description_width": "8em"},
        layout={"width": "100%", "max_width": "30em"},
    )
    told = [PROMPT, *map(question.compared, question.choices)]
    wide = Layout(width="100%")
    compared = [HTML(f"<p>{escape(text)}</p>", layout=wide) for text in told]
    shut = HTML("", layout=wide)
    stacks = [
        Stack(children, selected_index=0, layout=wide)
        for children in (compared, [shut, *[explorer] * len(guesses)])
    ]
    for stack in stacks:
        jslink((slider, "index"), (stack, "selected_index"))
    stacks[0].add_class("ptq-compared")
    explorer.remove_class("ptq-explorer")
    asked = HTML(f"<p>{escape(question.text)}</p>", layout=wide)
    box = VBox([asked, slider, *stacks])
    box.add_class("ptq-explorer")
    box.add_class("ptq-asked")
    return box
