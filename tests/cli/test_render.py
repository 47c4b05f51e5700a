"""Rows on their way out: numbers stay numbers, absent is absent, and nobody's text does anything."""

from __future__ import annotations

import csv
import json
import math
from datetime import UTC, datetime
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdagent.cli.render import COLUMNS, cell, choose_format, new_file, plain, refuse_place, shown, write_rows
from mdagent.cli.terminal import Terminal
from mdagent.config import Flags
from mdagent.errors import UsageError
from tests.cli.shell import HEADER, Screen, strict

if TYPE_CHECKING:
    from pathlib import Path

NASTY = '=HYPERLINK("http://evil")\r\n\x1b[31m[bold red]\u202etxt.exe'


def terminal(folder: Path, **environ: str) -> Terminal:
    return Terminal({"MDAGENT_HOME": str(folder), **environ}, folder, StringIO(), StringIO())


def written(folder: Path, form: str, columns: tuple[str, ...], *rows: tuple[Any, ...], out: StringIO | None = None, **environ: str) -> str:
    stream = out or StringIO()
    write_rows(form, columns, list(rows), stream, terminal(folder, **environ))
    return stream.getvalue()


def test_the_columns_are_frozen() -> None:
    assert ",".join(COLUMNS) == HEADER


def test_stored_rows_are_shown_with_their_letter_and_an_iso_stamp() -> None:
    def row(interval: str) -> tuple[Any, ...]:
        return ("AAPL", interval, datetime(2024, 1, 2, 14, 30), 1.0, 2.0, 0.5, 1.5, None, "yahoo", "splits", "USD", 87.5, True)

    told = [dict(zip(COLUMNS, r, strict=True)) for r in shown([row("1d"), row("1w"), row("1mo"), row("1h")])]
    assert [r["ts"] for r in told] == ["2024-01-02"] * 3 + ["2024-01-02T14:30:00Z"]
    assert (told[0]["grade"], told[0]["score"], told[0]["volume"], told[0]["provisional"]) == ("B+", 87.5, None, True)


# Which format


@pytest.mark.parametrize(
    ("told", "flags", "output", "tty", "chosen"),
    [
        (None, (False, False), None, True, "table"),
        (None, (False, False), None, False, "csv"),
        ("json", (False, False), None, True, "json"),
        (None, (True, False), None, True, "json"),
        (None, (False, True), None, True, "csv"),
        ("json", (True, False), None, True, "json"),
        (None, (False, False), "x.PARQUET", True, "parquet"),
        (None, (False, False), "x.jsonl", True, "ndjson"),
        (None, (False, False), "x.txt", False, "table"),
        (None, (False, False), "x.dat", True, "csv"),
        ("ndjson", (False, False), "x.csv", True, "ndjson"),
    ],
)
def test_the_format_is_the_one_asked_for_else_the_files_else_what_suits_the_stream(
    told: str | None, flags: tuple[bool, bool], output: str | None, tty: bool, chosen: str
) -> None:
    from pathlib import Path

    path = Path(output) if output else None
    assert choose_format(told, as_json=flags[0], as_csv=flags[1], output=path, tty=tty) == chosen


def test_two_formats_are_one_too_many() -> None:
    with pytest.raises(UsageError, match="csv and json"):
        choose_format("csv", as_json=True, as_csv=False, output=None, tty=True)


# Cells


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, ""),
        (True, "true"),
        (False, "false"),
        (1.0, "1"),
        (-0.5, "-0.5"),
        (185.63999938964844, "185.63999938964844"),
        (1e22, "1e+22"),
        (math.nan, ""),
        (12345678901, "12345678901"),
        (datetime(2024, 1, 2, 14, 30), "2024-01-02T14:30:00Z"),
        ("plain", "plain"),
        ("=1+1", "'=1+1"),
        ("@x", "'@x"),
        ("+x", "'+x"),
        ("-x", "'-x"),
        ("\t=1", "'=1"),
        ("\r=1", "'=1"),
        ("a\nb", "a b"),
        ("a\x00b\x1b[1m", "a b [1m"),
        ("x-y", "x-y"),
    ],
)
def test_a_cell_of_a_csv_is_plain(tmp_path: Path, value: object, told: str) -> None:
    assert str(cell(value)) == told
    assert list(csv.reader(StringIO(written(tmp_path, "csv", ("x", "y"), (value, 1)))))[1] == [told, "1"]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_comes_back_from_csv_and_json_as_it_was(value: float) -> None:
    assert float(str(cell(value))) == value
    assert float(strict(json.dumps(plain(value)))) == value


@given(st.text())
def test_no_text_is_a_formula_or_more_than_one_line(text: str) -> None:
    told = str(cell(text))
    assert not told.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert len(told.splitlines()) <= 1


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
def test_json_has_null_for_what_is_no_number(tmp_path: Path, value: float | None) -> None:
    assert strict(written(tmp_path, "json", ("x",), (value,))) == [{"x": None}]
    assert strict(written(tmp_path, "ndjson", ("x",), (value,))) == {"x": None}


def test_no_rows_are_an_empty_array_a_header_or_nothing(tmp_path: Path) -> None:
    assert strict(written(tmp_path, "json", ("x",))) == []
    assert written(tmp_path, "csv", ("x",)) == "x\n"
    assert written(tmp_path, "ndjson", ("x",)) == ""
    assert "x" in written(tmp_path, "table", ("x",))


def test_parquet_does_not_go_to_a_stream(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="parquet is not text"):
        written(tmp_path, "parquet", ("x",), (1,))


# Tables


@pytest.mark.parametrize("columns", [("name", "n"), ("symbol", "name")])
def test_text_in_a_table_is_literal(tmp_path: Path, columns: tuple[str, str]) -> None:
    told = written(tmp_path, "table", columns, (NASTY, 1), FORCE_COLOR="1", out=Screen())
    assert "[bold red]" in told
    assert "\u202e" not in told
    assert "\r" not in told
    assert "\x1b[31m" not in told


# Colour


@pytest.mark.parametrize(
    ("environ", "screen", "flag", "color"),
    [
        ({}, True, False, True),
        ({}, False, False, False),
        ({"NO_COLOR": "1"}, True, False, False),
        ({"NO_COLOR": ""}, True, False, True),
        ({"TERM": "dumb"}, True, False, False),
        ({"FORCE_COLOR": "1"}, False, False, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, False, False),
        ({"FORCE_COLOR": "1"}, True, True, False),
        ({}, True, True, False),
        ({"MDAGENT_COLOR": "never", "FORCE_COLOR": "1"}, True, False, False),
        ({"MDAGENT_COLOR": "always"}, False, False, True),
    ],
)
def test_colour_is_for_terminals_and_can_be_forbidden_or_forced(
    tmp_path: Path, environ: dict[str, str], screen: bool, flag: bool, color: bool
) -> None:
    made = terminal(tmp_path, **environ)
    made.flags = Flags(no_color=flag)
    assert made.wants_color(Screen() if screen else StringIO()) is color


def test_without_colour_a_table_has_no_escape(tmp_path: Path) -> None:
    assert "\x1b" not in written(tmp_path, "table", ("x", "y"), (1.5, "a"))
    assert "\x1b" not in written(tmp_path, "table", ("x", "y"), (1.5, "a"), out=Screen(), NO_COLOR="1")


# Files


def test_a_new_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"

    def half_way() -> None:
        with new_file(path, force=False) as stream:
            stream.write("half")
            assert not path.exists()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half_way()
    assert list(tmp_path.iterdir()) == []
    with new_file(path, force=False) as stream:
        stream.write("whole")
    assert path.read_text("utf-8") == "whole"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_overwrite_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("old", "utf-8")

    def half_way() -> None:
        with new_file(path, force=True) as stream:
            stream.write("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half_way()
    assert path.read_text("utf-8") == "old"


def test_a_place_is_refused_when_it_is_taken_a_folder_or_nowhere(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("x", "utf-8")
    for path, why in ((tmp_path / "taken", "exists already"), (tmp_path, "is a folder"), (tmp_path / "no" / "x", "there is no folder")):
        with pytest.raises(UsageError, match=why):
            refuse_place(path, force=False)
    refuse_place(tmp_path / "taken", force=True)
    refuse_place(tmp_path / "new", force=False)


def test_what_is_said_is_one_line_and_quiet_silences_it_but_no_error(tmp_path: Path) -> None:
    made = terminal(tmp_path)
    made.say(NASTY)
    made.fail(NASTY, NASTY, 7)
    said = made.err.getvalue()  # type: ignore[attr-defined]
    assert len(said.splitlines()) == 3
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert made.code == 7
    quiet = terminal(tmp_path)
    quiet.flags = Flags(quiet=True)
    quiet.say("nothing")
    quiet.fail("something")
    assert quiet.err.getvalue() == "mdagent: something\n"  # type: ignore[attr-defined]


def test_aware_times_would_be_shown_in_utc() -> None:
    assert cell(datetime(2024, 1, 2, tzinfo=UTC)) == plain(datetime(2024, 1, 2, tzinfo=UTC)) == "2024-01-02T00:00:00Z"
