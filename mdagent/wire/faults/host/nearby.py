"""What befalls an mdagent from beside: neighbours that press, a ledger that is damaged, a configuration that is edited badly."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from mdagent.errors import ConfigError
from mdagent.wire.faults.kinds import completed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from random import Random

    from mdagent.wire.faults.kinds import Fault

_NEIGHBOUR: Final = str(Path(__file__).with_name("neighbour.py"))
_LONGEST: Final = 3600  # seconds that a neighbour may live, whatever an experiment says
_PART: Final = 4  # of the memory that is free, one in so many may be taken


class Site(NamedTuple):
    """The files that a fault may touch. `store` is a copy: it is not put right afterwards."""

    ledger: Path
    config: Path
    store: Path = Path()


def nearby(fault: Fault, site: Site, dice: Random) -> AbstractContextManager[None]:
    """A fault of `NEARBY`, on from entering to leaving; afterwards the files are as they were and no process is left. Raises ConfigError
    for what this machine cannot bear."""
    return NEARBY[fault.kind](completed(fault), site, dice)


@contextmanager
def _neighbours(count: int, *words: str) -> Iterator[None]:
    """Processes that press, all of them pressing when entered."""
    with ExitStack() as stack:
        running = []
        for _ in range(count):
            one = subprocess.Popen(  # noqa: S603  our own script
                [sys.executable, "-P", _NEIGHBOUR, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={}
            )
            stack.callback(_ended, one)
            running.append(one)
        for one in running:
            assert one.stdout is not None  # noqa: S101  it is a pipe
            one.stdout.readline()
        yield


def _ended(process: subprocess.Popen[bytes]) -> None:
    with process:
        process.kill()


def _lifetime(fault: Fault) -> str:
    return str(int(min(fault.seconds + 60, _LONGEST)))


def _cpu(fault: Fault, _site: Site, _dice: Random) -> AbstractContextManager[None]:
    return _neighbours(int(fault.settings["workers"]), "cpu", _lifetime(fault))


def _memory(fault: Fault, _site: Site, _dice: Random) -> AbstractContextManager[None]:
    mib, free = int(fault.settings["mib"]), _free_mib()
    if mib * _PART > free:
        msg = f"fault memory_pressure: {mib} MiB are more than a quarter of the {free} MiB that are free"
        raise ConfigError(msg, f"use at most {free // _PART} MiB")
    return _neighbours(1, "memory", _lifetime(fault), str(mib))


def _free_mib() -> int:
    for line in Path("/proc/meminfo").read_text("ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) // 1024
    return 0


@contextmanager
def _kept(*paths: Path) -> Iterator[None]:
    """Whatever becomes of these files, they are as they were afterwards; one that was not there is gone again."""
    held = {path: path.read_bytes() if path.exists() else None for path in paths}
    try:
        yield
    finally:
        for path, content in held.items():
            if content is None:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(content)


@contextmanager
def _damaged(fault: Fault, site: Site, dice: Random) -> Iterator[None]:
    """What lies beside the ledger (journal and index) is gone while it is damaged: else SQLite would mend it from there."""
    beside = [site.ledger.with_name(site.ledger.name + end) for end in ("-wal", "-shm")]
    with _kept(site.ledger, *beside):
        content = bytearray(site.ledger.read_bytes())
        how = fault.settings["how"]
        if how == "zeroed":
            content[:100] = bytes(100)
        elif how == "cut":
            del content[len(content) // 2 :]
        elif how == "emptied":
            content.clear()
        else:
            for _ in range(int(fault.settings["bytes"])):
                content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
        site.ledger.write_bytes(content)
        for path in beside:
            path.unlink(missing_ok=True)
        yield


_CUT: Final = 0.3  # of the damages that come by chance
_BLANK: Final = 0.1  # of the bits that flip may be anywhere; the others, where something is written


@contextmanager
def _rotten(fault: Fault, site: Site, dice: Random) -> Iterator[None]:
    """The store, or the log beside it where there is one."""
    beside = site.store.with_name(site.store.name + ".wal")
    path = dice.choice([one for one in (site.store, beside) if one.exists()])
    content, how = bytearray(path.read_bytes()), fault.settings["how"]
    if how == "cut" or (how == "any" and dice.random() < _CUT):
        del content[dice.randrange(len(content)) :]
    else:
        for _ in range(int(fault.settings["bytes"])):
            content[_written(content, dice)] ^= 1 << dice.randrange(8)
    path.write_bytes(content)
    yield


def _written(content: bytearray, dice: Random) -> int:
    place = dice.randrange(len(content))
    while dice.random() >= _BLANK and not content[place]:
        place = dice.randrange(len(content))
    return place


_EDITS: Final = {
    "syntax": b"sources: [yahoo\nfetch:\n  deadline: {\n",
    "unknown": b"fetsch:\n  deadline: 10\n",
    "value": b"fetch:\n  deadline: soon\n",
    "bytes": b"\xff\xfe\x00sources",
}


@contextmanager
def _bad_edit(fault: Fault, site: Site, _dice: Random) -> Iterator[None]:
    with _kept(site.config):
        whole = site.config.read_bytes() if site.config.exists() else b""
        how = fault.settings["how"]
        site.config.write_bytes(spoilt(whole, how))
        yield


def spoilt(whole: bytes, how: str) -> bytes:
    """A configuration that nobody may adopt, in one of the ways of `bad_edit`."""
    return whole[: len(whole) // 2] + b"\n  - half of a" if how == "half" else _EDITS[how]


NEARBY: Final[Mapping[str, Callable[[Fault, Site, Random], AbstractContextManager[None]]]] = {
    "cpu_pressure": _cpu,
    "memory_pressure": _memory,
    "damaged_ledger": _damaged,
    "damaged_store": _rotten,
    "bad_edit": _bad_edit,
}
