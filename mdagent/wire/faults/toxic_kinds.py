"""The eight toxics of the TCP proxy, as rows of the table of kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mdagent.wire.faults.rows import Kind, Setting, one_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_WAY: Final = one_of("down", "up", "both", says="what is spoilt: answers, requests, or both")


def _seconds(default: float, says: str) -> Setting:
    return Setting(default, says, 0.0, 3600.0)


def _toxic(says: str, **settings: Setting) -> Kind:
    return Kind("proxy", says, {**settings, "way": _WAY})


TOXICS: Final[Mapping[str, Kind]] = {
    "toxic_latency": _toxic("each piece comes late", delay=_seconds(0.5, "seconds"), jitter=_seconds(0.0, "seconds more or less")),
    "toxic_bandwidth": _toxic("so many bytes a second, and no more", rate=Setting(8000.0, "bytes a second", 1.0, 1e9)),
    "toxic_slow_close": _toxic("the connection stays open after its end", delay=_seconds(2.0, "seconds")),
    "toxic_timeout": _toxic("nothing passes", after=_seconds(0.0, "seconds until the connection is closed, 0 for never")),
    "toxic_reset": _toxic("the connection is reset (RST)", after=_seconds(0.0, "seconds after the first bytes")),
    "toxic_slicer": _toxic(
        "what passes is cut into slices", size=Setting(1, "bytes in a slice", 1, 65536), pause=_seconds(0.0, "seconds between two slices")
    ),
    "toxic_limit_data": _toxic("the connection is closed after so many bytes", bytes=Setting(100, "bytes", 0, 1e12)),
    "toxic_down": Kind("proxy", "the port is closed and every connection is dropped"),
}
