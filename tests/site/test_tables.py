"""Tables of the built pages: they fit, wrap or say that they scroll."""

import io
import re

import pandas as pd
from conftest import soup


def check_cues(boxes):
    """What scrolls says so to those who see, hear, or use the keyboard."""
    for box in boxes:
        if box["width"] > box["room"] + 1:
            assert box["cue"] and box["stop"] == 0, box
            assert box["role"] == "region", box
            assert box["label"].endswith(", scrolls sideways"), box


def check_paper(boxes):
    """Every column is on the sheet."""
    for box in boxes:
        assert box["width"] <= box["room"] + 1 and not box["beyond"], box
        assert not box["cue"], box


NUMBERS = r"[-+−]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?"
# Numbers and what stands between them, as a program cannot read them.
SEVERAL = rf"[≈(]*{NUMBERS}(?:(?: to | of | / |–| \(){NUMBERS})+\)?"
AS_TEXT = re.compile(rf"{SEVERAL}|[−≈+]\s*{NUMBERS}|\d{{1,3}}(?:,\d{{3}})+")


def check_csv(text: str, rows: list[list[str]]) -> None:
    """The file has the numbers of the table's rows, one a column."""
    names = text.partition("\n")[0]
    frame = pd.read_csv(io.StringIO(text))
    assert len(frame) == len(rows) - 1
    assert frame.columns.is_unique and not re.search(r"\.\d+,", names)
    words = frame.select_dtypes(exclude="number")
    for column in words:
        for cell in words[column].dropna().astype(str):
            assert not AS_TEXT.fullmatch(cell.strip()), (column, cell)
    for (_, found), cells in zip(frame.iterrows(), rows[1:], strict=True):
        values = {float(v) for v in found if re.fullmatch(NUMBERS, str(v))}
        for cell in cells:
            if re.fullmatch(rf"{SEVERAL}|{NUMBERS}", cell):
                said = re.findall(NUMBERS, cell)
                plain = (n.replace(",", "").replace("−", "-") for n in said)
                assert {float(n) for n in plain} <= values, (cell, found)


def texts(table) -> list[list[str]]:
    """What the cells of a table say, row by row."""
    return [
        [cell.get_text().strip() for cell in row.find_all(["th", "td"])]
        for row in table.find_all("tr")
    ]


def test_files_of_all_tables_hold_numbers(site):
    found = 0
    for page in site.glob("book/**/*.html"):
        content = soup(page)
        for caption in content.select("article table > caption"):
            links = caption.find_next("p", class_="downloads")
            file = page.parent / links.a["href"]
            check_csv(file.read_text(), texts(caption.parent))
            found += 1
    assert found > 40


def test_negative_numbers_have_a_minus(site):
    hyphen = re.compile(r"(?:^|[\s(\[])-\d")
    seen = 0
    for page in [*site.glob("book/*.html"), *site.glob("book/chapters/*")]:
        content = soup(page)
        code = content.select("article :is(code, pre, script, .math)")
        verbatim = {id(s) for part in code for s in part.strings}
        for text in content.select("article :is(p, td, li, figcaption)"):
            said = "".join(s for s in text.strings if id(s) not in verbatim)
            assert not hyphen.search(said), (page, text)
            seen += len(said) > 0
    assert seen > 1000
