"""Questions before the explorers: what is asked, and how a guess is met."""

import ast
import math

import nbformat
import pytest
from ipywidgets import HTML, SelectionSlider, Stack

from ptq.book import explorers
from ptq.book.explorers.controls import Choice, explorer
from ptq.running import pipeline


def question(answer=12.34):
    return explorers.guesses.Question(
        "How many?", choices=(5, 10, 20), answer=answer, unit=" %", digits=1
    )


def asked():
    inner = explorer([Choice("bits", {"2": 2, "4": 4}, 2)], "{} bits".format)
    return inner, explorers.guesses.ask(question(), inner)


@pytest.mark.parametrize(
    ("guess", "verdict"),
    [(5, "Too low."), (10, "No choice is nearer."), (20, "Too high.")],
)
def test_a_guess_is_compared_with_what_was_measured(guess, verdict):
    told = question().compared(guess)
    assert told == f"Your guess: {guess} %. Measured: 12.3 %. {verdict}"


def test_nothing_is_told_before_the_guess():
    inner, box = asked()
    text, slider, compared, opened = box.children
    assert "How many?" in text.value and "12.3" not in text.value
    assert isinstance(slider, SelectionSlider) and slider.index == 0
    assert slider.options == (
        explorers.guesses.NO_GUESS,
        "5 %",
        "10 %",
        "20 %",
    )
    for stack in (compared, opened):
        assert isinstance(stack, Stack) and stack.selected_index == 0
    assert explorers.guesses.PROMPT in compared.children[0].value
    assert isinstance(opened.children[0], HTML)
    assert not opened.children[0].value


def test_each_guess_has_its_comparison_and_opens_the_explorer():
    inner, box = asked()
    _, slider, compared, opened = box.children
    choices = question().choices
    assert len(compared.children) == len(opened.children) == len(choices) + 1
    for guess, told, below in zip(
        choices, compared.children[1:], opened.children[1:], strict=True
    ):
        assert question().compared(guess) in told.value
        assert below is inner


@pytest.mark.parametrize("answer", [math.nan, math.inf])
def test_an_answer_must_be_a_number(answer):
    with pytest.raises(ValueError, match="expected a number"):
        question(answer)


def test_choices_must_ascend():
    with pytest.raises(ValueError, match="expected ascending"):
        explorers.guesses.Question("How many?", choices=(5, 5), answer=1)


def test_every_explorer_of_the_book_asks_first():
    found = 0
    for path in pipeline.chapters():
        for cell in nbformat.read(path, as_version=4).cells:
            if "explorer" in cell.metadata.get("tags", []):
                found += 1
                last = ast.unparse(ast.parse(cell.source).body[-1])
                asked = last.startswith("explorers.guesses.ask(")
                assert asked, (path.name, cell.id)
    assert found == 5
