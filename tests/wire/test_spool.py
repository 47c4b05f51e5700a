"""Answers that were paid for outlive the process that got them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import httpx

from mdagent.clock import VirtualClock
from mdagent.wire.spool import Spool

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2024, 6, 3, 12, tzinfo=UTC)


def spool(folder: Path, after: timedelta = timedelta(0)) -> Spool:
    """Another process, so much later."""
    return Spool(folder / "spool", VirtualClock(NOW + after))


def answer(body: bytes = b'{"bars":[1,2]}\n\n') -> httpx.Response:
    return httpx.Response(200, headers=[("x-a", "1"), ("x-a", "2")], content=body)


def test_what_one_process_left_another_is_given_once(tmp_path: Path) -> None:
    assert spool(tmp_path).keep("yahoo:1", "GET /a", answer()) is not None
    later = spool(tmp_path, timedelta(hours=1))
    held = later.recall("yahoo:1", "GET /a")
    assert held is not None
    assert (held.reply.status_code, held.reply.content, held.at) == (200, answer().content, NOW)
    assert held.reply.headers.get_list("x-a") == ["1", "2"]
    assert later.recall("yahoo:1", "GET /a") is None
    later.forget([held.name])
    assert list((tmp_path / "spool").iterdir()) == []


def test_another_request_or_account_is_not_answered(tmp_path: Path) -> None:
    spool(tmp_path).keep("yahoo:1", "GET /a", answer())
    assert spool(tmp_path).recall("yahoo:1", "GET /b") is None
    assert spool(tmp_path).recall("yahoo:2", "GET /a") is None


def test_a_process_does_not_answer_itself(tmp_path: Path) -> None:
    one = spool(tmp_path)
    one.keep("yahoo:1", "GET /a", answer())
    assert one.recall("yahoo:1", "GET /a") is None


def test_what_is_a_day_old_is_removed_and_what_comes_from_the_future_is_left(tmp_path: Path) -> None:
    spool(tmp_path).keep("yahoo:1", "GET /a", answer())
    assert spool(tmp_path, timedelta(hours=-2)).recall("yahoo:1", "GET /a") is None
    assert len(list((tmp_path / "spool").iterdir())) == 1
    assert spool(tmp_path, timedelta(hours=25)).recall("yahoo:1", "GET /a") is None
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_torn_file_is_not_read(tmp_path: Path) -> None:
    name = spool(tmp_path).keep("yahoo:1", "GET /a", answer())
    assert name is not None
    path = tmp_path / "spool" / name
    whole = path.read_bytes()
    for spoilt in (whole[:-1], whole[:20], b"", whole.replace(b"[1,2]", b"[1,3]")):
        path.write_bytes(spoilt)
        assert spool(tmp_path, timedelta(minutes=1)).recall("yahoo:1", "GET /a") is None


def test_an_answer_that_holds_the_key_is_not_kept(tmp_path: Path) -> None:
    assert spool(tmp_path).keep("yahoo:1", "GET /a", answer(b"echo: s3cret"), ("s3cret",)) is None
    assert not (tmp_path / "spool").exists()


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    name = spool(tmp_path).keep("yahoo:1", "GET /a?apikey=s3cret", answer())
    assert name is not None
    assert "s3cret" not in name
    assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "spool" / name).stat().st_mode & 0o777 == 0o600


def test_a_place_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file")
    one = spool(tmp_path)
    assert one.keep("yahoo:1", "GET /a", answer()) is None
    assert one.recall("yahoo:1", "GET /a") is None
    one.forget(["x"])
