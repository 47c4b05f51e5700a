"""What is written down, what is not, and that it can be replayed."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import stat
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx
import pytest

from mdagent.clock import SystemClock
from mdagent.errors import ConfigError
from mdagent.wire import Limits, WireFailed, WireOptions, open_wire
from mdagent.wire.bounds import exchange
from mdagent.wire.record import RecordingTransport
from mdagent.wire.replay import ReplayTransport
from tests.wire.nasty import NastyServer, answer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.wire.nasty import Step

SECRET = "CANARY/k+y=="
QUERY_KEY = "crumb-CANARY-2"
BODY = json.dumps(
    {
        "key": "AAPL",
        "apiKey": "CANARY-unlisted",
        "note": f"your key {SECRET}, {quote(SECRET, safe='')}, {base64.b64encode(SECRET.encode()).decode()} and {QUERY_KEY}",
        "next_url": "https://data.example/v2?cursor=abc&apiKey=CANARY-3&limit=5",
        "close": [1.5, None],
    }
).encode()
HEADERS = (
    "Content-Type: application/json",
    "Date: Tue, 02 Jan 2024 10:00:00 GMT",
    f"X-RateLimit-Remaining: {SECRET}",
    "Set-Cookie: CANARY=1",
    "X-Who: CANARY",
)
TARGET = f"/v8/chart/%5EDJI?interval=1d&apikey={quote(SECRET, safe='')}&crumb={QUERY_KEY}&symbol=A&symbol=B"


def _record(folder: Path, script: list[Step], times: int = 1, target: str = TARGET) -> str:
    async def conversation(place: str) -> None:
        options = WireOptions(loopback=frozenset({place}), record=folder, secrets=frozenset({SECRET}))
        wire = open_wire("live", SystemClock(), options=options)
        try:
            for _ in range(times):
                request = httpx.Request("GET", f"http://{place}{target}", headers={"Authorization": "Bearer CANARY-bearer"})
                await wire.send(request, Limits(total=2))
        finally:
            await wire.aclose()

    with NastyServer(script) as server:
        asyncio.run(conversation(server.place))
        return server.place


def _everything(folder: Path) -> str:
    return "\n".join(path.name + path.read_bytes().decode("latin-1") for path in folder.iterdir())


@pytest.mark.parametrize("coding", ["", "gzip"])
def test_what_was_recorded_can_be_replayed(tmp_path: Path, coding: str) -> None:
    folder = tmp_path / "made" / "new"
    packed = gzip.compress(BODY) if coding else BODY
    place = _record(folder, [answer(packed, *HEADERS, *([f"Content-Encoding: {coding}"] if coding else []))])
    request = httpx.Request("GET", f"http://{place}{TARGET}")
    reply = asyncio.run(exchange(ReplayTransport(folder), request, Limits()))
    assert reply.status_code == 200
    assert reply.json()["close"] == [1.5, None]
    assert reply.json()["key"] == "AAPL"
    assert reply.json()["next_url"] == "https://data.example/v2?cursor=abc&apiKey=<KEY>&limit=5"
    assert reply.headers["date"] == "Tue, 02 Jan 2024 10:00:00 GMT"
    with pytest.raises(WireFailed):
        asyncio.run(exchange(ReplayTransport(folder), httpx.Request("GET", f"http://{place}/v8/chart/OTHER"), Limits()))


def test_no_key_is_in_any_recorded_file(tmp_path: Path) -> None:
    _record(tmp_path, [answer(BODY, *HEADERS)], target=f"/v1/{quote(SECRET, safe='')}{TARGET}")
    text = _everything(tmp_path)
    assert "CANARY" not in text
    assert base64.b64encode(SECRET.encode()).decode().rstrip("=") not in text
    line = json.loads((tmp_path / "recordings.jsonl").read_text())
    assert set(line["headers"]) == {"content-type", "date", "x-ratelimit-remaining"}
    assert line["request"]["query"] == {"interval": "1d", "apikey": "<KEY>", "crumb": "<KEY>", "symbol": ["A", "B"]}
    assert "<KEY>" in line["request"]["path"]


def test_a_key_that_the_answer_repeats_is_blanked_though_nobody_listed_it(tmp_path: Path) -> None:
    _record(tmp_path, [answer(b"token CANARY-bearer and " + QUERY_KEY.encode())])
    assert "CANARY" not in _everything(tmp_path)


def test_files_are_private_and_an_exchange_is_written_once(tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    _record(folder, [answer(BODY, "Connection: close")], times=3)
    paths = list(folder.iterdir())
    assert len(paths) == 2
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert len((folder / "recordings.jsonl").read_text().splitlines()) == 1


def test_a_body_that_lost_its_line_gets_it_back(tmp_path: Path) -> None:
    request = httpx.Request("GET", "https://data.example/chart")
    for _ in range(2):
        asyncio.run(exchange(RecordingTransport(_Fixed(), tmp_path, ()), request, Limits()))
        index = (tmp_path / "recordings.jsonl").read_text()
        assert len(index.splitlines()) == 1
        (tmp_path / "recordings.jsonl").unlink()


def test_an_error_answer_is_recorded_as_one(tmp_path: Path) -> None:
    _record(tmp_path, [answer(b"no", status="404 Not Found")])
    line = json.loads((tmp_path / "recordings.jsonl").read_text())
    assert (line["kind"], line["status"], line["provenance"]) == ("error", 404, "recorded")
    assert (tmp_path / line["file"]).read_bytes() == b"no"


@pytest.mark.parametrize(
    "script",
    [[answer(b"cut", length=100)], [answer(b"hello", "Content-Encoding: gzip")], [answer(b"", "Location: /x", status="302 Found")]],
    ids=["cut short", "not what it says", "redirect"],
)
def test_an_exchange_that_failed_is_not_recorded(tmp_path: Path, script: list[Step]) -> None:
    with pytest.raises(WireFailed):
        _record(tmp_path, script)
    assert not (tmp_path / "recordings.jsonl").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="record folder"):
        _record(tmp_path / "file", [answer(BODY)])


class _Fixed(httpx.AsyncBaseTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"close": [1.0]}, request=request)


def test_any_transport_can_be_recorded(tmp_path: Path) -> None:
    request = httpx.Request("GET", "https://data.example/search?q=apple")
    reply = asyncio.run(exchange(RecordingTransport(_Fixed(), tmp_path, ()), request, Limits()))
    assert reply.json() == {"close": [1.0]}
    again = asyncio.run(exchange(ReplayTransport(tmp_path), request, Limits()))
    assert again.content == reply.content
    assert json.loads((tmp_path / "recordings.jsonl").read_text())["kind"] == "search"
