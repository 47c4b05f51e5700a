"""What one HTTP exchange meant: the failure kinds, and the table of what each kind leads to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from mdagent.errors import MdagentError

if TYPE_CHECKING:
    from datetime import datetime

HTTP_OK, HTTP_FORBIDDEN, HTTP_UNAVAILABLE = 200, 403, 503


class FailureKind(StrEnum):
    """One name for each thing that can go wrong with a request."""

    CONNECT_FAIL = "CONNECT_FAIL"
    TLS_FAIL = "TLS_FAIL"
    TIMEOUT_READ = "TIMEOUT_READ"
    TRUNCATED = "TRUNCATED"
    PROTOCOL = "PROTOCOL"
    TOO_LARGE = "TOO_LARGE"
    SECURITY_BLOCK = "SECURITY_BLOCK"
    RATE_LIMITED = "RATE_LIMITED"
    QUOTA_EXHAUSTED = "QUOTA_EXHAUSTED"
    AUTH = "AUTH"
    PLAN_LIMIT = "PLAN_LIMIT"
    WAF_BLOCK = "WAF_BLOCK"
    BAD_REQUEST = "BAD_REQUEST"
    UNKNOWN_SYMBOL = "UNKNOWN_SYMBOL"
    NO_DATA = "NO_DATA"
    SERVER_ERROR = "SERVER_ERROR"
    UNEXPECTED_STATUS = "UNEXPECTED_STATUS"
    MALFORMED = "MALFORMED"
    SCHEMA = "SCHEMA"
    MISMATCH = "MISMATCH"
    BAD_VALUES = "BAD_VALUES"
    DEADLINE = "DEADLINE"
    THROTTLED = "THROTTLED"
    BUDGET = "BUDGET"
    BREAKER_OPEN = "BREAKER_OPEN"
    NETWORK_DOWN = "NETWORK_DOWN"
    CANCELLED = "CANCELLED"


class Retry(StrEnum):
    """May the same request be sent again within the call?"""

    NO = "no"
    ONCE = "once"  # on another host or source first
    TWICE = "up_to_2"
    AFTER_BLOCK = "after_block"  # only once the block has passed, if the deadline allows


class Blame(StrEnum):
    """What a circuit breaker is to count. The words are those of the failure table."""

    NONE = "none"
    SUCCESS = "success"
    COUNT = "count"
    COUNT_ENDPOINT = "count_endpoint"
    COUNT_DOUBLE = "count_double"
    QUALITY = "quality"
    OPEN_NOW = "open_now"
    FORCE_OPEN = "force_open"


class Charge(StrEnum):
    """What becomes of the quota that was reserved. Charged, unless it is proved that nothing was sent."""

    CHARGED = "charged"
    REFUNDED = "refunded"
    UNLESS_SENT = "unless_sent"
    FILL = "fill"  # the window is spent, whatever we counted


@dataclass(frozen=True, slots=True)
class Consequence:
    """One row of the failure table."""

    retry: Retry
    blame: Blame
    charge: Charge
    next_step: str  # what the person at the prompt can do


_R, _B, _C = Retry, Blame, Charge
CONSEQUENCES: dict[FailureKind, Consequence] = {
    FailureKind.CONNECT_FAIL: Consequence(_R.ONCE, _B.COUNT, _C.REFUNDED, "check the network, then run it again"),
    FailureKind.TLS_FAIL: Consequence(
        _R.NO, _B.COUNT_DOUBLE, _C.REFUNDED, "check the machine's date and CA certificates (wire.ca_file); verification is never off"
    ),
    FailureKind.TIMEOUT_READ: Consequence(_R.ONCE, _B.COUNT, _C.CHARGED, "run it again later, or raise sources.NAME.timeout.total"),
    FailureKind.TRUNCATED: Consequence(_R.ONCE, _B.COUNT, _C.CHARGED, "run it again; nothing of the cut answer was stored"),
    FailureKind.PROTOCOL: Consequence(_R.NO, _B.COUNT, _C.CHARGED, "run it again later; the answer broke the rules of HTTP"),
    FailureKind.TOO_LARGE: Consequence(_R.NO, _B.COUNT_DOUBLE, _C.CHARGED, "ask for a shorter range"),
    FailureKind.SECURITY_BLOCK: Consequence(
        _R.NO, _B.COUNT_DOUBLE, _C.UNLESS_SENT, "check sources.NAME.base_url; mdagent follows no redirect and calls no private address"
    ),
    FailureKind.RATE_LIMITED: Consequence(_R.AFTER_BLOCK, _B.NONE, _C.CHARGED, "wait for the block to pass (mdagent sources status)"),
    FailureKind.QUOTA_EXHAUSTED: Consequence(_R.NO, _B.NONE, _C.FILL, "wait for the quota to reset (mdagent sources status)"),
    FailureKind.AUTH: Consequence(_R.NO, _B.FORCE_OPEN, _C.CHARGED, "check the key of this source (mdagent doctor)"),
    FailureKind.PLAN_LIMIT: Consequence(_R.NO, _B.NONE, _C.CHARGED, "use a plan that includes this, or another source"),
    FailureKind.WAF_BLOCK: Consequence(_R.NO, _B.OPEN_NOW, _C.CHARGED, "wait a while, or set another user_agent for this source"),
    FailureKind.BAD_REQUEST: Consequence(_R.NO, _B.NONE, _C.CHARGED, "check the symbol, the range and the interval (mdagent sources list)"),
    FailureKind.UNKNOWN_SYMBOL: Consequence(_R.NO, _B.SUCCESS, _C.CHARGED, "check the spelling (mdagent search NAME)"),
    FailureKind.NO_DATA: Consequence(_R.NO, _B.SUCCESS, _C.CHARGED, "ask for another range"),
    FailureKind.SERVER_ERROR: Consequence(_R.TWICE, _B.COUNT, _C.CHARGED, "run it again later"),
    FailureKind.UNEXPECTED_STATUS: Consequence(_R.NO, _B.COUNT, _C.CHARGED, "run it again later"),
    FailureKind.MALFORMED: Consequence(_R.ONCE, _B.COUNT, _C.CHARGED, "run it again later"),
    FailureKind.SCHEMA: Consequence(_R.NO, _B.COUNT_ENDPOINT, _C.CHARGED, "look for a newer mdagent: the provider's format changed"),
    FailureKind.MISMATCH: Consequence(_R.NO, _B.COUNT_DOUBLE, _C.CHARGED, "check the symbol, or use another source"),
    FailureKind.BAD_VALUES: Consequence(_R.NO, _B.COUNT_ENDPOINT, _C.CHARGED, "use another source, or run it again later"),
    FailureKind.DEADLINE: Consequence(_R.NO, _B.NONE, _C.UNLESS_SENT, "run it again, or raise fetch.deadline"),
    FailureKind.THROTTLED: Consequence(_R.NO, _B.NONE, _C.REFUNDED, "wait for the quota to free (mdagent sources status)"),
    FailureKind.BUDGET: Consequence(_R.NO, _B.NONE, _C.REFUNDED, "raise the budget (sources.NAME.budget), or ask a source that costs less"),
    FailureKind.BREAKER_OPEN: Consequence(_R.NO, _B.NONE, _C.REFUNDED, "see why and until when: mdagent sources explain"),
    FailureKind.NETWORK_DOWN: Consequence(_R.NO, _B.NONE, _C.REFUNDED, "check this machine's network, then run it again"),
    FailureKind.CANCELLED: Consequence(_R.NO, _B.NONE, _C.UNLESS_SENT, "run the same command again: it goes on where it stopped"),
}


_STATUS: dict[int, FailureKind] = {
    400: FailureKind.BAD_REQUEST,
    401: FailureKind.AUTH,
    402: FailureKind.PLAN_LIMIT,
    403: FailureKind.PLAN_LIMIT,
    404: FailureKind.UNKNOWN_SYMBOL,
    408: FailureKind.TIMEOUT_READ,
    413: FailureKind.BAD_REQUEST,
    414: FailureKind.BAD_REQUEST,
    422: FailureKind.BAD_REQUEST,
    429: FailureKind.RATE_LIMITED,
    451: FailureKind.PLAN_LIMIT,
    500: FailureKind.SERVER_ERROR,
    502: FailureKind.SERVER_ERROR,
    503: FailureKind.SERVER_ERROR,
    504: FailureKind.SERVER_ERROR,
}
_KEY_REFUSED = re.compile(
    r"\b(api[ _-]?key|key|token|credentials?)\b.{0,80}\b(invalid|incorrect|unknown|missing|revoked|expired"
    r"|not (allowed|valid|authori[sz]ed))"
    r"|\b(invalid|incorrect|unknown|missing|expired) (api[ _-]?)?(key|token|credentials?)\b",
    re.IGNORECASE | re.DOTALL,
)
_CHALLENGE = re.compile(r"captcha|challenge|just a moment|access denied|attention required|unusual traffic|are you a robot", re.IGNORECASE)


def kind_of_status(status: int, body: str) -> FailureKind | None:
    """What an HTTP status means where the provider's sheet says nothing else; None for 200. `body` is its first few KB."""
    if status == HTTP_OK:
        return None
    html = body.lstrip()[:1] == "<"
    if status == HTTP_FORBIDDEN and _KEY_REFUSED.search(body):
        return FailureKind.AUTH
    if status in (HTTP_FORBIDDEN, HTTP_UNAVAILABLE) and html and (status == HTTP_FORBIDDEN or _CHALLENGE.search(body)):
        return FailureKind.WAF_BLOCK
    if 520 <= status < 600:
        return FailureKind.SERVER_ERROR
    return _STATUS.get(status, FailureKind.UNEXPECTED_STATUS)


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong. `detail` is one plain sentence, at most 300 characters, free of secrets and of control characters.

    `retry_after` (seconds) and `until` (an aware instant) say how long the provider wants to be left alone. `unreachable`: no answer
    of any kind, not even a refusal, so that it may be our own network that is down.
    """

    kind: FailureKind
    detail: str
    status: int | None = None
    retry_after: float | None = None
    until: datetime | None = None
    unreachable: bool = False

    @property
    def consequence(self) -> Consequence:
        """Its row of the failure table."""
        return CONSEQUENCES[self.kind]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One HTTP exchange, or one that was refused before it was sent. `ms` is wall time of the exchange; `headers` are those of the
    answer that tell its time and what is left of a quota, names in lower case, free of secrets."""

    source: str
    endpoint: str
    host: str
    began: datetime
    ms: float
    status: int | None
    size: int
    failure: Failure | None
    sent: bool = True
    token: int | None = None  # its row in the ledger
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def ok(self) -> bool:
        """Did it bring an answer that can be used?"""
        return self.failure is None


class ConversationFailed(MdagentError):
    """Raised by a source inside its conversation: the answer came, and it is of no use. `partial` is what earlier answers of the
    same conversation brought, complete from the start of the window up to where they end."""

    def __init__(self, failure: Failure, partial: object = None) -> None:
        super().__init__(failure.detail, failure.consequence.next_step)
        self.failure = failure
        self.partial = partial
