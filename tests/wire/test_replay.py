"""Which recording answers which request."""

from __future__ import annotations

import asyncio
import hashlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from mdagent.clock import SystemClock
from mdagent.errors import ConfigError
from mdagent.guard.outcome import FailureKind
from mdagent.wire import WireFailed, WireOptions, open_wire
from mdagent.wire.replay import looks_like_key

if TYPE_CHECKING:
    from pathlib import Path

HOST = "https://query1.data.example"
CHART = f"{HOST}/v8/chart/AAPL"


def _epoch(text: str) -> str:
    return str(int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()))


def _line(name: str, **changes: Any) -> dict[str, Any]:
    """A recording of daily AAPL bars; the body is its name."""
    query = {"interval": "1d", "events": "div", "crumb": "<KEY>"} | changes.pop("query", {})
    line: dict[str, Any] = {
        "file": name,
        "kind": "bars",
        "provenance": "recorded",
        "request": {"host": "query2.data.example", "path": "/v8/chart/AAPL", "query": query} | changes.pop("request", {}),
        "status": 200,
        "headers": {"content-type": "application/json", "content-encoding": "gzip"},
        "sha256": hashlib.sha256(name.encode()).hexdigest(),
    }
    if rows := changes.pop("rows", None):
        line["expected"] = {"first_in_body": [rows[0], 1.0], "last_in_body": [rows[1], 2.0]}
    return line | changes


def _folder(folder: Path, *lines: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for line in lines:
        (folder / line["file"]).write_text(line["file"])
    (folder / "recordings.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + "\n")
    return folder


def _ask(folder: Path, url: str, **params: str) -> httpx.Response:
    wire = open_wire("replay", SystemClock(), options=WireOptions(replay=folder))
    return asyncio.run(wire.send(httpx.Request("GET", url, params=params)))


def _served(folder: Path, url: str = CHART, **params: str) -> str:
    return _ask(folder, url, **({"interval": "1d"} | params)).text


def _window(start: str, end: str) -> dict[str, str]:
    return {"period1": _epoch(start), "period2": _epoch(end)}


def test_keys_and_noise_do_not_matter_and_hosts_of_one_domain_are_one(tmp_path: Path) -> None:
    folder = _folder(tmp_path, _line("a.json"))
    reply = _ask(folder, CHART, interval="1d", crumb="mine", apikey="CANARY", lang="de", events="split", formatted="false")
    assert (reply.status_code, reply.text) == (200, "a.json")
    assert reply.headers["content-type"] == "application/json"
    assert "content-encoding" not in reply.headers


def test_sub_folders_are_read_too(tmp_path: Path) -> None:
    _folder(tmp_path / "one", _line("a.json"))
    _folder(tmp_path / "two", _line("m.json", request={"path": "/v8/chart/MSFT"}))
    assert _served(tmp_path) == "a.json"
    assert _served(tmp_path, f"{HOST}/v8/chart/MSFT") == "m.json"


@pytest.mark.parametrize(
    ("url", "params"),
    [
        (f"{HOST}/v8/chart/MSFT", {}),
        (f"{HOST}/v8/chart/aapl", {}),
        (f"{HOST}/v8/chart", {}),
        ("https://query1.other.example/v8/chart/AAPL", {}),
        (CHART, {"interval": "1wk"}),
        (CHART, {"adjusted": "true"}),
    ],
)
def test_another_path_host_interval_or_parameter_has_no_recording(tmp_path: Path, url: str, params: dict[str, str]) -> None:
    folder = _folder(tmp_path, _line("a.json", query={"adjusted": "false"}))
    with pytest.raises(WireFailed, match="no recording of GET") as caught:
        _served(folder, url, apikey="CANARY", **params)
    assert caught.value.failure.kind is FailureKind.NO_DATA
    assert not caught.value.sent
    assert "CANARY" not in caught.value.failure.detail
    assert "apikey=<KEY>" in caught.value.failure.detail


def test_an_hour_has_two_spellings_and_a_caret_too(tmp_path: Path) -> None:
    folder = _folder(tmp_path, _line("h.json", query={"interval": "1h"}, request={"path": "/v8/chart/%5EDJI"}))
    folder_of_hours = _folder(tmp_path / "more", _line("h.json", query={"interval": "1h"}))
    assert _served(folder_of_hours, interval="60m") == "h.json"
    index = json.loads((folder / "recordings.jsonl").read_text())
    index["request"]["query"] = {}
    index["expected"] = {"dataGranularity": "1h"}
    (folder / "recordings.jsonl").write_text(json.dumps(index))
    assert _served(folder, f"{HOST}/v8/chart/%5EDJI", interval="60m") == "h.json"
    assert _served(folder, f"{HOST}/v8/chart/^DJI", interval="1h") == "h.json"


def test_the_very_window_is_best_then_the_one_that_covers_most(tmp_path: Path) -> None:
    folder = _folder(
        tmp_path,
        _line("days.json", rows=("2024-01-02T14:30:00Z", "2024-01-05T14:30:00Z")),
        _line("year.json", rows=("2023-01-03T14:30:00Z", "2024-01-31T14:30:00Z"), query=_window("2023-01-01", "2024-02-01")),
        _line("falling.json", rows=("2022-12-30 14:30:00", "2022-01-03 14:30:00")),
        _line("stamps.json", rows=(1609770600, 1640961000000)),
    )
    assert _served(folder, **_window("2024-01-03", "2024-01-20")) == "year.json"
    assert _served(folder, **_window("2023-01-01", "2024-02-01")) == "year.json"
    assert _served(folder, **_window("2022-03-01", "2022-04-01")) == "falling.json"
    assert _served(folder, **_window("2021-03-01", "2021-04-01")) == "stamps.json"
    for start, end in (("2024-02-01", "2024-03-01"), ("2020-01-01", "2021-01-04")):
        with pytest.raises(WireFailed):
            _served(folder, **_window(start, end))


def test_a_bare_date_is_a_whole_day(tmp_path: Path) -> None:
    folder = _folder(tmp_path, _line("a.csv", rows=("2020-01-02", "2020-01-02")))
    assert _served(folder, **_window("2020-01-02T05:00", "2020-01-03T05:00")) == "a.csv"


def test_ties_go_to_the_newest_then_to_the_first_name(tmp_path: Path) -> None:
    rows = ("2024-01-02T14:30:00Z", "2024-01-05T14:30:00Z")
    old, new = ({"Date": f"Sat, 22 Feb {year} 10:01:30 GMT"} for year in (2024, 2025))
    folder = _folder(tmp_path, *(_line(name, rows=rows, headers=dated) for name, dated in (("c", new), ("a", old), ("b", new))))
    assert _served(folder, **_window("2024-01-01", "2024-02-01")) == "b"


def test_a_day_more_outside_the_window_does_not_count(tmp_path: Path) -> None:
    older = _line("a", rows=("2021-05-12T13:30:00Z", "2021-08-12T20:00:00Z"), headers={"date": "Thu, 12 Aug 2021 20:00:00 GMT"})
    newer = _line("b", rows=("2021-05-13T13:30:00Z", "2021-08-12T19:21:54Z"), headers={"date": "Thu, 12 Aug 2021 21:00:00 GMT"})
    assert _served(_folder(tmp_path, older, newer), **_window("2021-05-13T12:30", "2021-08-13")) == "b"


def test_an_edited_recording_is_the_last_choice(tmp_path: Path) -> None:
    window = _window("2024-01-01", "2024-02-01")
    edited = _line("a", provenance="edited", query=window)
    assert _served(_folder(tmp_path / "one", edited), **window) == "a"
    rows = ("2024-01-02T14:30:00Z", "2024-01-05T14:30:00Z")
    assert _served(_folder(tmp_path / "two", edited, _line("b", rows=rows)), **window) == "b"


def test_a_range_is_only_answered_by_that_range(tmp_path: Path) -> None:
    folder = _folder(
        tmp_path,
        _line("month", query={"range": "1mo"}, rows=("2024-01-02T14:30:00Z", "2024-01-31T14:30:00Z")),
        _line("window", query=_window("2023-01-01", "2023-02-01")),
    )
    assert _served(folder, range="1mo") == "month"
    assert _served(folder, **_window("2024-01-10", "2024-01-20")) == "month"
    with pytest.raises(WireFailed):
        _served(folder, range="5d")


def test_an_error_without_a_window_answers_any_window(tmp_path: Path) -> None:
    folder = _folder(tmp_path, _line("gone", kind="error", status=404, request={"host": None}))
    wire = open_wire("replay", SystemClock(), options=WireOptions(replay=folder))
    reply = asyncio.run(wire.send(httpx.Request("GET", CHART, params={"interval": "1d", **_window("2024-01-01", "2024-02-01")})))
    assert reply.status_code == 404


def test_bodies_of_another_kind_are_never_served(tmp_path: Path) -> None:
    with pytest.raises(WireFailed):
        _served(_folder(tmp_path, _line("a", kind="other")))


def test_a_symbol_that_the_recording_does_not_name_is_not_assumed(tmp_path: Path) -> None:
    place = {"path": "/v7/quote", "query": {}}
    folder = _folder(
        tmp_path, _line("known", request=place, expected={"symbol": "MSFT"}, kind="quote"), _line("x", request=place, kind="quote")
    )
    url = f"{HOST}/v7/quote"
    assert _ask(folder, url, symbols="MSFT").text == "known"
    with pytest.raises(WireFailed):
        _ask(folder, url, symbols="AAPL")


def test_a_key_in_the_path_matches_any_key(tmp_path: Path) -> None:
    folder = _folder(tmp_path, _line("a", request={"path": "/v1/<KEY>/AAPL"}))
    assert _served(folder, f"{HOST}/v1/mykey/AAPL") == "a"


def test_a_folder_without_an_index_is_a_setting_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"recordings\.jsonl"):
        _served(tmp_path)
    with pytest.raises(ConfigError, match="no such folder"):
        _served(tmp_path / "absent")


@pytest.mark.parametrize(
    "bad",
    [
        "{",
        "[]",
        '"text"',
        "{}",
        "[" * 100_000,
        json.dumps(_line("../../etc/passwd")),
        json.dumps(_line("a", status="200")),
        json.dumps(_line("a", status=7)),
        json.dumps(_line("a", query={"interval": 1})),
        json.dumps(_line("a", headers=["x"])),
    ],
)
def test_a_bad_line_is_named_with_file_and_number(tmp_path: Path, bad: str) -> None:
    folder = _folder(tmp_path, _line("a"))
    with (folder / "recordings.jsonl").open("a") as index:
        index.write(bad)
    with pytest.raises(ConfigError, match=r"recordings\.jsonl line 3"):
        _served(folder)


def test_an_index_that_is_no_text_is_a_setting_error(tmp_path: Path) -> None:
    (tmp_path / "recordings.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        _served(tmp_path)


def test_a_changed_or_missing_body_is_a_setting_error(tmp_path: Path) -> None:
    folder = _folder(tmp_path, _line("a"))
    (folder / "a").write_text("changed")
    with pytest.raises(ConfigError, match="sha256"):
        _served(folder)
    (folder / "a").unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        _served(folder)


def test_replayed_answers_are_not_recorded_again(tmp_path: Path) -> None:
    options = WireOptions(replay=_folder(tmp_path, _line("a")), record=tmp_path / "out")
    with pytest.raises(ConfigError, match="recorded again"):
        open_wire("replay", SystemClock(), options=options)


@pytest.mark.parametrize(
    "name", ["apikey", "api_key", "apiKey", "API-KEY", "token", "crumb", "key", "X-Api-Key", "access_key", "Authorization"]
)
def test_names_of_keys_are_known(name: str) -> None:
    assert looks_like_key(name)


@pytest.mark.parametrize("name", ["symbol", "page_token", "nextPageToken", "keywords", "interval", "passthrough", "author", "monkey"])
def test_names_of_other_things_are_not_taken_for_keys(name: str) -> None:
    assert not looks_like_key(name)
