"""The kinds of value a setting may have: one row each for what is allowed, how it is read and how it is shown."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mdagent.config.addresses import read_base_urls, read_proxy, userinfo_of
from mdagent.config.refused import Refused
from mdagent.config.scalars import did_you_mean, scalar
from mdagent.config.secret import MASK, Secret, fingerprint_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import date

_PERIOD = re.compile(r"([1-9][0-9]{0,6})(s|m|h)\Z")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_CALENDAR = ("day", "month")
_SHORTEST, _LONGEST = 0.1, 31 * 86400.0
_MOST_LIMITS, _MOST_DATES, _MOST_UNIVERSES = 8, 1000, 1000
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


class Kind(NamedTuple):
    """How one kind of setting is spelled.

    `words` ends the sentence "must be ...". `read` turns a value of the file into the setting or raises Refused; `scan`
    turns the text of an environment variable into a value as a file would hold it; `show` gives it back as plain YAML.
    `expands`: `${VAR}` is replaced before `read`.
    """

    words: str
    read: Callable[[object], Any]
    scan: Callable[[str], object] = scalar
    show: Callable[[Any], object] = lambda value: value
    secret: bool = False
    expands: bool = False


class LimitSettings(NamedTuple):
    """`limit` requests per `per`: seconds of a rolling window, or `day` or `month` of the calendar in `zone`."""

    limit: int
    per: float | str
    zone: str = "UTC"


def whole(low: int, high: int) -> Kind:
    """A whole number of `low` to `high`; true, "5" and 5.0 are none."""

    def read(raw: object) -> int:
        if isinstance(raw, int) and not isinstance(raw, bool) and low <= raw <= high:
            return raw
        raise Refused(words)

    words = f"a whole number from {low} to {high}"
    return Kind(words, read)


def number(low: float, high: float, unit: str) -> Kind:
    """A finite number of `low` to `high`, in `unit`."""

    def read(raw: object) -> float:
        if isinstance(raw, int | float) and not isinstance(raw, bool) and low <= raw <= high:
            return float(raw)
        raise Refused(words)

    words = f"a number from {low:g} to {high:g} ({unit})"
    return Kind(words, read)


def choice(*options: str) -> Kind:
    """One of a few words."""

    def read(raw: object) -> str:
        if isinstance(raw, str) and raw in options:
            return raw
        hint = did_you_mean(raw, options) if isinstance(raw, str) else ""
        raise Refused(words, hint=hint if hint.startswith("did") else "")

    words = f"one of {', '.join(options)}"
    return Kind(words, read, scan=str)


def text(longest: int) -> Kind:
    """Printable text on one line."""

    def read(raw: object) -> str:
        if isinstance(raw, str) and 0 < len(raw) <= longest and raw.isprintable() and raw == raw.strip():
            return raw
        raise Refused(words)

    words = f"printable text of 1 to {longest} characters without spaces around it (quote a number)"
    return Kind(words, read, scan=str)


def _read_flag(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    raise Refused(FLAG.words)


def scan_flag(word: str) -> object:
    """1, true, yes, on and their opposites, in any case; other text stays as it is."""
    lower = word.strip().lower()
    return True if lower in _TRUE else False if lower in _FALSE else word


def _read_agent(raw: object) -> str:
    if isinstance(raw, str) and 0 < len(raw) <= 300 and raw.isascii() and raw.isprintable() and raw == raw.strip():
        return raw
    raise Refused(USER_AGENT.words)


def _read_path(raw: object) -> Path:
    if isinstance(raw, str) and raw.strip() and raw.isprintable():
        return Path(raw)
    raise Refused(FILE.words)


def _read_key(raw: object) -> Secret:
    if isinstance(raw, str):
        return Secret(raw)
    raise Refused(KEY.words)


def _show_key(value: Secret | None) -> object:
    return None if value is None else f"{MASK} (fingerprint {value.fingerprint})"


def _scan_addresses(line: str) -> object:
    line = line.strip()
    words = [word.strip() for word in (line[1:-1] if line.startswith("[") and line.endswith("]") else line).split(",")]
    return words if len(words) > 1 else words[0]


def _show_addresses(value: tuple[str, ...] | None) -> object:
    return None if value is None else value[0] if len(value) == 1 else list(value)


def _show_proxy(value: str | None) -> object:
    userinfo = userinfo_of(value or "")
    return value.replace(f"{userinfo}@", f"{MASK} (fingerprint {fingerprint_of(userinfo)})@", 1) if value and userinfo else value


def _read_limits(raw: object) -> tuple[LimitSettings, ...]:
    if not isinstance(raw, list) or len(raw) > _MOST_LIMITS:
        raise Refused(LIMITS.words)
    return tuple(_read_limit(item, f"[{index}]") for index, item in enumerate(raw))


def _read_limit(raw: object, at: str) -> LimitSettings:
    if not isinstance(raw, dict):
        raise Refused(LIMITS.words, at=at, value=raw)
    for key in raw:
        if key not in {"limit", "per", "zone"}:
            msg = "an unknown setting is refused"
            raise Refused(msg, at=f"{at}.{key}", hint=did_you_mean(key, ("limit", "per", "zone")), unknown=True)
    try:
        limit: int = _LIMIT.read(raw.get("limit"))
    except Refused as exc:
        raise Refused(exc.words, at=f"{at}.limit", value=raw.get("limit")) from None
    per = _read_period(raw.get("per"), at)
    if "zone" not in raw:
        return LimitSettings(limit, per)
    if isinstance(per, float):
        words = "left out: only day and month follow a calendar"
        raise Refused(words, at=f"{at}.zone", value=raw["zone"])
    return LimitSettings(limit, per, _read_zone(raw["zone"], at))


def _read_period(raw: object, at: str) -> float | str:
    if isinstance(raw, str) and raw in _CALENDAR:
        return raw
    seconds = float(raw) if isinstance(raw, int | float) and not isinstance(raw, bool) else 0.0
    if isinstance(raw, str) and (match := _PERIOD.match(raw)):
        seconds = int(match[1]) * _UNITS[match[2]]
    if not _SHORTEST <= seconds <= _LONGEST:
        words = "a period: seconds, 1s, 1m, 1h (rolling, at most 744h), day or month (of the calendar)"
        raise Refused(words, at=f"{at}.per", value=raw)
    return seconds


def _read_zone(raw: object, at: str) -> str:
    from zoneinfo import ZoneInfo

    words = "a time zone of the IANA list, such as UTC or America/New_York"
    if not isinstance(raw, str):
        raise Refused(words, at=f"{at}.zone", value=raw)
    try:
        ZoneInfo(raw)
    except (KeyError, ValueError, OSError):  # unknown; not a key at all; a folder of zones
        raise Refused(words, at=f"{at}.zone", value=raw) from None
    return raw


def _scan_flow(line: str) -> object:
    from mdagent.config.files import parse

    root = parse(line, "")
    return None if root is None else root.plain()


def _show_limits(value: tuple[LimitSettings, ...] | None) -> object:
    return None if value is None else [_show_limit(item) for item in value]


def _show_limit(item: LimitSettings) -> object:
    if isinstance(item.per, str):
        return {"limit": item.limit, "per": item.per, "zone": item.zone}
    for unit, seconds in reversed(_UNITS.items()):
        if item.per % seconds == 0:
            return {"limit": item.limit, "per": f"{int(item.per // seconds)}{unit}"}
    return {"limit": item.limit, "per": item.per}


def _read_dates(raw: object) -> tuple[date, ...]:
    from datetime import date

    if not isinstance(raw, list) or len(raw) > _MOST_DATES:
        raise Refused(DATES.words)
    days = set()
    for index, item in enumerate(raw):
        try:
            days.add(date.fromisoformat(item))
        except (TypeError, ValueError):
            words = "a day such as 2023-09-01"
            raise Refused(words, at=f"[{index}]", value=item) from None
    return tuple(sorted(days))


def _show_dates(days: tuple[date, ...]) -> object:
    return [day.isoformat() for day in days]


def _scan_dates(line: str) -> object:
    return [word.strip() for word in line.strip("[] ").split(",") if word.strip()]


def _read_lists(raw: object) -> dict[str, Path | tuple[str, ...]]:
    if not isinstance(raw, dict) or len(raw) > _MOST_UNIVERSES:
        raise Refused(UNIVERSES.words)
    made: dict[str, Path | tuple[str, ...]] = {}
    for name, told in raw.items():
        if isinstance(told, str) and told:
            made[str(name)] = Path(told)
        elif isinstance(told, list) and all(isinstance(word, str) for word in told):
            made[str(name)] = tuple(told)
        else:
            words = "a file, or a list of symbols"
            raise Refused(words, at=f".{name}", value=told)
    return made


def _show_lists(value: Mapping[str, Path | tuple[str, ...]]) -> object:
    return {name: list(told) if isinstance(told, tuple) else str(told) for name, told in value.items()}


FLAG = Kind("true or false", _read_flag, scan=scan_flag)
FILE = Kind("a path", _read_path, scan=str, show=lambda value: None if value is None else str(value))
USER_AGENT = Kind("one line of 1 to 300 printable ASCII characters", _read_agent, scan=str)
KEY = Kind("a key as text, or ${VARIABLE}", _read_key, scan=str, show=_show_key, secret=True, expands=True)
_ADDRESSES = "an address such as https://host/path, or a list of them"
BASE_URL = Kind(_ADDRESSES, read_base_urls, scan=_scan_addresses, show=_show_addresses, expands=True)
PROXY = Kind("an address such as http://host:port", read_proxy, scan=str, show=_show_proxy, secret=True)
LIMITS = Kind("a list of at most 8 entries such as {limit: 8, per: 1m}", _read_limits, scan=_scan_flow, show=_show_limits)
DATES = Kind("a list of at most 1000 days such as [2023-09-01]", _read_dates, scan=_scan_dates, show=_show_dates)
UNIVERSES = Kind("lists of symbols by name, such as {mine: [AAPL, MSFT], sp500: sp500.txt}", _read_lists, scan=_scan_flow, show=_show_lists)
_LIMIT = whole(1, 100_000)
