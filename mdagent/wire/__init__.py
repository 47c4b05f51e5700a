"""The one door to the world: live, sandbox or replay."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from mdagent.errors import ConfigError
from mdagent.wire.bounds import Limits, WireFailed, exchange

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx

    from mdagent.clock import Clock

    Around = Callable[[httpx.AsyncBaseTransport], httpx.AsyncBaseTransport]

__all__ = ["Limits", "Wire", "WireFailed", "WireOptions", "World", "open_wire"]

World = Literal["live", "sandbox", "replay"]
_DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class WireOptions:
    """What the settings say about the wire.

    `loopback` holds the `host:port` of every configured base_url that is a loopback address: plain http and a local address
    are allowed there and nowhere else. `secrets` are blanked in what `record` writes. `proxy` may hold a password.
    """

    proxy: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    loopback: frozenset[str] = frozenset()
    allow_private_hosts: bool = False
    replay: Path | None = None
    record: Path | None = None
    secrets: frozenset[str] = field(default=frozenset(), repr=False)


class Wire:
    """One world, opened once per process. Its transport is made with the first request, in the loop that sends it."""

    def __init__(self, world: World, clock: Clock, options: WireOptions, around: Around | None = None) -> None:
        self.world: World = world
        self._clock = clock
        self._options = options
        self._around = around
        self._transport: httpx.AsyncBaseTransport | None = None

    async def send(self, request: httpx.Request, limits: Limits = _DEFAULT_LIMITS) -> httpx.Response:
        """The whole answer, decoded, whatever its status. Raises `WireFailed`, and ConfigError for a bad setting."""
        if self._transport is None:
            self._transport = self._made()
        return await exchange(self._transport, request, limits)

    async def aclose(self) -> None:
        """Close the connections. The wire may be used again, also in another event loop."""
        if self._transport is not None:
            await self._transport.aclose()

    def _made(self) -> httpx.AsyncBaseTransport:
        transport = self._inner() if self._around is None else self._around(self._inner())
        if self._options.record is None:
            return transport
        from mdagent.wire.record import RecordingTransport

        return RecordingTransport(transport, self._options.record, self._options.secrets)

    def _inner(self) -> httpx.AsyncBaseTransport:
        if self.world == "sandbox":
            from mdagent.wire.sandbox import SandboxTransport

            inside = SandboxTransport(self._clock)
            if not self._options.loopback:
                return inside
            from mdagent.wire.fork import Fork
            from mdagent.wire.live import LiveTransport

            return Fork(self._options.loopback, LiveTransport(self._options), inside)
        if self.world == "replay" and self._options.replay is not None:
            from mdagent.wire.replay import ReplayTransport

            return ReplayTransport(self._options.replay)
        from mdagent.wire.live import LiveTransport

        return LiveTransport(self._options)


def open_wire(world: World, clock: Clock, *, options: WireOptions, around: Around | None = None) -> Wire:
    """A wire to that world; nothing is loaded or connected yet. `around` stands between it and whoever sends. Raises
    ConfigError when the options contradict the world."""
    if world == "replay":
        folder = options.replay
        if folder is None or not folder.is_dir():
            msg = f"replay folder {folder}: there is no such folder"
            raise ConfigError(msg, "name a folder that holds recordings.jsonl")
        if options.record is not None:
            msg = f"record folder {options.record}: replayed answers cannot be recorded again"
            raise ConfigError(msg, "record in the live world or in the sandbox")
    return Wire(world, clock, options, around)
