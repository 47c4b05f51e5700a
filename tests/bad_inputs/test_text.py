"""What a provider writes is shown as text and nothing else, wherever it is shown."""

from __future__ import annotations

import json

import pytest

from tests.bad_inputs.cases import HTML, STRINGS, Case, name
from tests.bad_inputs.chart import meta, ten
from tests.bad_inputs.stage import Stage, Turns, said
from tests.wire.nasty import NastyServer

NAMES = {
    "ST01": "\x1b[31mEvil\x1b]52;c;aGk=\x07",
    "ST02": "X\n2024-01-01 ERROR forged",
    "ST03": "=cmd|'/c calc'!A1",
    "ST04": "[link=http://evil]click[/link]",
    "ST05": "x'); DROP TABLE bars;--",
}
LOOK = ("query", "SELECT name FROM instruments WHERE symbol = 'AAPL'")


def kept(stage: Stage, text: str) -> None:
    """Fetch ten bars of a company of that name."""
    with NastyServer(Turns([name(text)])) as server:
        ran, _ = stage.fetch(server, "fetch", "AAPL", "--start", "2024-01-02", "--end", "2024-01-17", "-vv", "--explain")
    assert ran.code == 0, ran.err


@pytest.mark.parametrize("text", NAMES.values(), ids=NAMES)
def test_a_name_is_stored_as_it_came_and_no_control_character_of_it_reaches_a_stream(text: str, stage: Stage) -> None:
    kept(stage, text)
    for form in ("table", "csv", "json", "ndjson"):
        stage.run(*LOOK, "--format", form)
    assert json.loads(stage.run(*LOOK, "--json").out) == [{"name": text}]
    assert stage.run("query", "SELECT count(*) AS n FROM bars", "--csv").out == "n\n20\n"
    for stream in stage.streams:
        assert not [ch for ch in stream if (ch < " " and ch != "\n") or "\x7f" <= ch <= "\x9f"]
        assert not [line for line in stream.splitlines() if line.startswith("2024-01-01 ERROR")]


def test_a_csv_cell_that_begins_like_a_formula_is_neutralised_and_numbers_stay_numbers(stage: Stage) -> None:
    kept(stage, NAMES["ST03"])
    assert stage.run(*LOOK, "--csv").out == "name\n'=cmd|'/c calc'!A1\n"
    assert stage.run("query", "SELECT -5 AS a, -2.5::DOUBLE AS b, '-5' AS c, '@x' AS d", "--csv").out == "a,b,c,d\n-5,-2.5,'-5,'@x\n"
    assert json.loads(stage.run(*LOOK, "--json").out) == [{"name": NAMES["ST03"]}]


def test_markup_of_the_terminal_library_is_shown_as_it_is(stage: Stage) -> None:
    kept(stage, NAMES["ST04"])
    assert "[link=http://evil]click[/link]" in stage.run(*LOOK, "--format", "table").out


def test_our_key_in_the_provider_s_words_is_blanked(stage: Stage) -> None:
    with NastyServer(Turns(_case("ST06").scripts)) as server:
        ran, line = stage.fetch(server, "fetch", "AAPL", "--start", "2024-01-02", "--end", "2024-01-17", "-vv", "--log-file", "log.txt")
    assert ran.code == 11
    assert "***" in line["failure"]["detail"]
    assert "***" in (stage.sent()[0].detail or "")


def test_of_ten_megabytes_of_words_at_most_300_characters_are_shown(stage: Stage) -> None:
    with NastyServer(Turns(_case("ST07").scripts)) as server:
        ran, line = stage.fetch(server)
    assert len(line["failure"]["detail"]) <= 300
    assert len(ran.err) < 2000


def test_a_page_of_html_is_named_and_not_shown(stage: Stage) -> None:
    with NastyServer(Turns([said(HTML, kind="text/html")])) as server:
        ran, line = stage.fetch(server)
    assert line["failure"]["detail"] == "an HTML page came instead of data"
    assert "captcha" not in ran.err + ran.out


def test_a_symbol_in_the_answer_cannot_write_to_the_terminal(stage: Stage) -> None:
    with NastyServer(Turns([said(ten(meta(symbol="\x1b[2J\nMSFT")))])) as server:
        ran, _ = stage.fetch(server)
    assert ran.code == 4
    assert "\x1b" not in ran.err


def _case(name_: str) -> Case:
    return next(c for c in STRINGS if c.id == name_)
