"""The run's own circumstances, which no file can set: its world, its clock, how much it says."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mdagent.config.kinds import scan_flag, whole
from mdagent.config.layers import absolute
from mdagent.config.refused import Refused
from mdagent.config.scalars import scalar, shown
from mdagent.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mdagent.config.places import Flags
    from mdagent.config.tree import World

_VERBOSE = whole(0, 3)


class Run(NamedTuple):
    """The world (with its folder of recordings), the start of the clock, the talk. `origins` names who said so."""

    world: World
    replay: Path | None
    record: Path | None
    clock: datetime | None
    quiet: bool
    verbose: int
    origins: dict[str, str]


def run_of(flags: Flags, environ: Mapping[str, str], cwd: Path) -> Run:
    """Decide from flags first, then variables. Raises ConfigError, or UsageError for flags that exclude each other."""
    origins: dict[str, str] = {}
    world, replay = _world(flags, environ, cwd, origins)
    record = _folder(flags.record, "record", environ, cwd, origins)
    if record is not None and world == "replay":
        msg = f"{origins['record']} cannot be used in a replay: there is nothing new to record"
        raise (UsageError if flags.record is not None else ConfigError)(msg, "leave out one of the two")
    quiet, verbose = _talk(flags, environ, origins)
    return Run(world, replay, record, _clock(environ, world, origins), quiet, verbose, origins)


def flag_of(variable: str, environ: Mapping[str, str]) -> bool:
    """A variable that says yes or no; absent and empty are no. Raises ConfigError."""
    text = environ.get(variable, "").strip()
    value = scan_flag(text) if text else False
    if isinstance(value, bool):
        return value
    msg = f"{variable} is {shown(text)}: it must be 1 or 0"
    raise ConfigError(msg)


def _world(flags: Flags, environ: Mapping[str, str], cwd: Path, origins: dict[str, str]) -> tuple[World, Path | None]:
    if flags.sandbox and flags.replay is not None:
        msg = "--sandbox and --replay exclude each other"
        raise UsageError(msg, "leave out one of them")
    if not flags.sandbox and flags.replay is None and flag_of("MDAGENT_SANDBOX", environ) and environ.get("MDAGENT_REPLAY"):
        msg = "MDAGENT_SANDBOX and MDAGENT_REPLAY exclude each other"
        raise ConfigError(msg, "unset one of them")
    if flags.sandbox or (flags.replay is None and flag_of("MDAGENT_SANDBOX", environ)):
        origins["world"] = "--sandbox" if flags.sandbox else "MDAGENT_SANDBOX"
        return "sandbox", None
    replay = _folder(flags.replay, "replay", environ, cwd, origins)
    if replay is None:
        return "live", None
    origins["world"] = origins["replay"]
    if not replay.is_dir():
        msg = f"{origins['replay']}: {replay} is no folder"
        raise ConfigError(msg, "name a folder of recorded answers")
    return "replay", replay


def _folder(flag: Path | None, name: str, environ: Mapping[str, str], cwd: Path, origins: dict[str, str]) -> Path | None:
    variable = f"MDAGENT_{name.upper()}"
    text = environ.get(variable, "").strip()
    chosen, origin = (flag, f"--{name}") if flag is not None else (Path(text) if text else None, variable)
    if chosen is None:
        return None
    origins[name] = origin
    return absolute(chosen, cwd, environ)


def _clock(environ: Mapping[str, str], world: World, origins: dict[str, str]) -> datetime | None:
    text = environ.get("MDAGENT_CLOCK", "").strip()
    if not text:
        return None
    if world == "live":
        msg = f"MDAGENT_CLOCK is {shown(text)}: the clock is set only in the sandbox and in a replay"
        raise ConfigError(msg, "unset MDAGENT_CLOCK, or use --sandbox or --replay DIR")
    try:
        instant = datetime.fromisoformat(text)
        instant = instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError):
        instant = None
    if instant is None or not 1970 <= instant.year < 2100:
        msg = f"MDAGENT_CLOCK is {shown(text)}: it must be an instant of 1970 to 2099 such as 2024-01-17T00:00:00Z"
        raise ConfigError(msg)
    origins["clock"] = "MDAGENT_CLOCK"
    return instant


def _talk(flags: Flags, environ: Mapping[str, str], origins: dict[str, str]) -> tuple[bool, int]:
    if flags.quiet or flags.verbose:
        origins["quiet" if flags.quiet else "verbose"] = "-q" if flags.quiet else "-v"
        return flags.quiet, 0 if flags.quiet else flags.verbose
    if flag_of("MDAGENT_QUIET", environ):
        origins["quiet"] = "MDAGENT_QUIET"
        return True, 0
    text = environ.get("MDAGENT_VERBOSE", "").strip()
    if not text:
        return False, 0
    value = scan_flag(text)
    try:
        verbose: int = _VERBOSE.read(int(value) if isinstance(value, bool) else scalar(text))
    except Refused as exc:
        msg = f"MDAGENT_VERBOSE is {shown(text)}: it must be {exc.words}"
        raise ConfigError(msg) from None
    origins["verbose"] = "MDAGENT_VERBOSE"
    return False, verbose
