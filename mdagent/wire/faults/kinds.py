"""The kinds of faults, as a table: what each does, what can be set, and which part brings it about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mdagent.errors import ConfigError
from mdagent.wire.faults.defects import DEFECTS
from mdagent.wire.faults.host_kinds import HOST
from mdagent.wire.faults.rows import Fault, Kind, Setting, Where, one_of
from mdagent.wire.faults.scene_kinds import SCENE
from mdagent.wire.faults.toxic_kinds import TOXICS

if TYPE_CHECKING:
    from collections.abc import Mapping


def _seconds(default: float, says: str, high: float = 3600.0) -> Setting:
    return Setting(default, says, 0.0, high)


def _share(default: float) -> Setting:
    return Setting(default, "the share of the body that still comes", 0.0, 1.0)


RETRY_AFTER: Final = ("none", "seconds", "date", "past", "negative", "nonsense", "fraction", "huge")
_RETRY: Final = {
    "retry_after": Setting("none", "the shape of its Retry-After header", choices=RETRY_AFTER),
    "wait": _seconds(30.0, "seconds that a well-formed Retry-After asks for", 86400.0),
}

__all__ = ["KINDS", "RETRY_AFTER", "Fault", "Kind", "Setting", "Where", "completed"]

KINDS: Final[Mapping[str, Kind]] = {
    "refused": Kind("transport", "nobody listens at the port"),
    "black_hole": Kind("transport", "packets vanish: no connection comes about, and nobody says so"),
    "partition": Kind("transport", "there is no route to the host, as the network itself says"),
    "dns": Kind("transport", "the name of the host cannot be resolved"),
    "tls": Kind(
        "transport",
        "no trusted encrypted connection comes about",
        {"why": Setting("expired", "what is wrong with it", choices=("expired", "wrong_host", "unknown_ca", "handshake"))},
    ),
    "silence": Kind("transport", "the connection is accepted, the request is taken, and nothing ever comes back"),
    "latency": Kind(
        "transport",
        "each answer comes late",
        {"delay": _seconds(1.0, "seconds"), "jitter": _seconds(0.0, "seconds more or less, by chance")},
    ),
    "bandwidth": Kind("transport", "the answer trickles", {"rate": Setting(8000.0, "bytes a second", 1.0, 1e9)}),
    "slow_loris": Kind(
        "transport",
        "the answer comes in drops, each in time to keep the client waiting",
        {"every": _seconds(1.0, "seconds between two drops"), "drop": Setting(1, "bytes in a drop", 1, 65536)},
    ),
    "reset": Kind("transport", "the connection is reset in the midst of the answer", {"share": _share(0.5)}),
    "cut": Kind(
        "transport",
        "the body ends early",
        {"share": _share(0.5), "told": Setting("yes", "whether a Content-Length had promised more", choices=("yes", "no"))},
    ),
    "header_flood": Kind("transport", "the head of the answer is huge", {"kib": Setting(128, "KiB of headers", 1, 4096)}),
    "endless": Kind("transport", "the body never ends", {"rate": Setting(8e6, "bytes a second", 1.0, 1e9)}),
    "bomb": Kind("transport", "a small packed body that unpacks to a huge one", {"mib": Setting(64, "MiB of it", 1, 256)}),
    "redirect": Kind(
        "transport", "the answer leads elsewhere", {"to": Setting("host", "where to", choices=("host", "private", "downgrade"))}
    ),
    "status": Kind(
        "transport", "the answer is that HTTP status and a plain sentence", {"code": Setting(503, "the status", 200, 999), **_RETRY}
    ),
    "rate_limited": Kind("provider", "too many requests, in the provider's own words, whatever was sent", _RETRY),
    "waf": Kind("provider", "a page of HTML that asks for proof of being human", {"code": one_of("403", "503", says="its status")}),
    "key_revoked": Kind("provider", "the key is refused, in the provider's own words"),
    "plan_lost": Kind("provider", "the plan does not include what is asked for, in the provider's own words"),
    "downgraded": Kind("provider", "the key is one of the smallest plan"),
    "quota_cut": Kind("provider", "the allowance is less than it was", {"to": Setting(0.5, "the share that is left", 0.0, 1.0)}),
    "retirement": Kind(
        "provider", "the provider is not there any more", {"how": one_of("gone", "page", says="nobody answers, or a farewell page does")}
    ),
    "format_drift": Kind(
        "provider",
        "the answer has another form than it had",
        {
            "field": one_of("close", "volume", "time", says="what is concerned"),
            "how": one_of("renamed", "null", "words", says="another name, nothing in it, or words in it"),
        },
    ),
    "unsorted": Kind("provider", "rows in another order", {"how": one_of("reversed", "rotated", says="the other order")}),
    "paging_loop": Kind(
        "provider", "each page names itself as the next one", {"how": one_of("circle", "endless", says="the same page, or new empty ones")}
    ),
    "wrong_symbol": Kind("provider", "the answer is about another symbol", {"symbol": Setting("MSFT", "which one")}),
    "unknown_symbol": Kind("provider", "a good symbol is not known any more"),
    "stale_feed": Kind("provider", "nothing later than the fault's beginning is told"),
    "delayed_feed": Kind("provider", "all is told late", {"delay": _seconds(3600.0, "seconds", 31 * 86400.0)}),
    **DEFECTS,
    **TOXICS,
    **HOST,
    **SCENE,
}


def completed(fault: Fault) -> Fault:
    """The fault with every setting of its kind filled in. Raises ConfigError naming what is wrong."""
    kind = KINDS.get(fault.kind)
    if kind is None:
        msg = f"fault {fault.kind[:40]!a}: there is no such kind"
        raise ConfigError(msg, _meant(fault.kind))
    for name, value, low, high in (
        ("start", fault.start, 0.0, float("inf")),
        ("seconds", fault.seconds, 0.0, float("inf")),
        ("probability", fault.probability, 0.0, 1.0),
    ):
        if not low <= value <= high:
            msg = f"fault {fault.kind}: {name} is {value:g}"
            raise ConfigError(msg, f"use a number from {low:g} to {high:g}")
    for name, value in fault.settings.items():
        setting = kind.settings.get(name)
        if setting is None:
            msg = f"fault {fault.kind}: it has no setting {name[:40]!a}"
            raise ConfigError(msg, f"it has {', '.join(kind.settings)}" if kind.settings else "this kind has no settings")
        why = setting.refusal(value)
        if why is not None:
            msg = f"fault {fault.kind}: {name} is {value!r:.40}"
            raise ConfigError(msg, why)
    return fault._replace(settings={name: setting.default for name, setting in kind.settings.items()} | dict(fault.settings))


def _meant(word: str) -> str:
    import difflib

    near = difflib.get_close_matches(word[:40], KINDS, n=1)
    return f"did you mean {near[0]}?" if near else "mdagent chaos list names them all"
