"""Answers on their way into the store: kept in files until they are written, since they were paid for.

A process that dies between the two leaves them behind, and the next one that would ask the same is given them instead. They are not
brought to the disk one by one (a killed process loses nothing, a machine that loses its power asks again), and a torn one is not read.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import httpx

    from mdagent.clock import Clock

_ROOM = 256 * 1024 * 1024  # bytes of all files
_APART = timedelta(minutes=10)  # a clock may have been set back by so much
_LONGEST = timedelta(hours=24)  # an older answer may have been overtaken by the market


class Held(NamedTuple):
    """An answer from the spool, the name by which it is forgotten, and when it came."""

    name: str
    reply: httpx.Response
    at: datetime


class Spool:
    """The files of one store, in `folder`; shared by processes. What cannot be kept is not: nothing here raises."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._sizes: dict[str, int] | None = None
        self._left: set[str] = set()

    def keep(self, account: str, memory: str, reply: httpx.Response, secrets: Sequence[str] = ()) -> str | None:
        """Keep an answer; the name by which it is forgotten, or None where it is not kept: it is too much, or holds a secret."""
        name, body, now = _name(account, memory), reply.content, self._clock.now()
        sizes = self._look()
        if sum(sizes.values()) + len(body) > _ROOM or any(secret.encode() in body for secret in secrets if secret):
            return None
        head = {"at": now.isoformat(), "status": reply.status_code, "headers": reply.headers.multi_items()}
        told = json.dumps(head | {"size": len(body), "digest": _digest(body)}).encode() + b"\n" + body
        new = self._folder / f".{name}.{os.getpid()}"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
                file.write(told)
            os.utime(new, (now.timestamp(), now.timestamp()))
            new.rename(self._folder / name)
        except OSError:  # the store will say so, if it is the disk
            with suppress(OSError):
                new.unlink(missing_ok=True)
            return None
        sizes[name] = len(told)
        return name

    def recall(self, account: str, memory: str) -> Held | None:
        """The answer to the same request, left by a process that could not write it into the store."""
        self._look()
        name = _name(account, memory)
        if name not in self._left:
            return None
        self._left.discard(name)
        return self._read(name)

    def forget(self, names: Iterable[str]) -> None:
        """These are in the store, or of no use."""
        for name in names:
            self._look().pop(name, None)
            with suppress(OSError):
                (self._folder / name).unlink()

    def _read(self, name: str) -> Held | None:
        import httpx

        with suppress(OSError, ValueError, KeyError, TypeError):
            head, _, body = (self._folder / name).read_bytes().partition(b"\n")
            told = json.loads(head)
            at = datetime.fromisoformat(told["at"])
            if len(body) == told["size"] and _digest(body) == told["digest"] and self._is_fresh(at):
                return Held(name, httpx.Response(told["status"], headers=told["headers"], content=body), min(at, self._clock.now()))
        return None

    def _is_fresh(self, at: datetime) -> bool:
        return at - _APART < self._clock.now() < at + _LONGEST

    def _look(self) -> dict[str, int]:
        """The sizes of the files; of what others left, as it was the first time. What is too old to be of use is removed then."""
        if self._sizes is not None:
            return self._sizes
        self._sizes = {}
        with suppress(OSError), os.scandir(self._folder) as found:
            for entry in found:
                with suppress(OSError):
                    if self._clock.now() - datetime.fromtimestamp(entry.stat().st_mtime, UTC) > _LONGEST:
                        (self._folder / entry.name).unlink()
                        continue
                    self._sizes[entry.name] = entry.stat().st_size
                    self._left.add(entry.name)
        return self._sizes


def _name(account: str, memory: str) -> str:
    """The request may hold a key: what is made of it tells nothing of that."""
    return blake2b(f"{account} {memory}".encode(), digest_size=16).hexdigest()


def _digest(body: bytes) -> int:
    return crc32(body)  # against a file that was cut, not against a forger
