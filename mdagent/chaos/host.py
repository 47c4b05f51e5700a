"""A scene of real processes: whoever asks is a mdagent of its own, with a home, a configuration and a clock that it shares with others,
and the machine's faults strike it there."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from random import Random
from tempfile import TemporaryDirectory
from threading import Lock, RLock
from typing import TYPE_CHECKING, Any, NamedTuple

from mdagent.chaos.caller import Caller
from mdagent.chaos.load import Person
from mdagent.chaos.loopback import LoopbackScene
from mdagent.errors import ConfigError
from mdagent.store.ledger import open_ledger
from mdagent.wire.faults import KINDS
from mdagent.wire.faults.host import GOOD, Child, Site, edits, nearby

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from mdagent.chaos.crowd import Crowd
    from mdagent.chaos.experiment import Habit
    from mdagent.chaos.load import Desk
    from mdagent.chaos.scene import Books
    from mdagent.config import Settings
    from mdagent.wire.faults import Fault

_OF_A_PROCESS = ("killed", "disk_full", "few_files", "damaged_ledger", "damaged_store")  # each strikes processes as they begin
_ON_A_COPY = ("disk_full", "damaged_ledger", "damaged_store")  # meanwhile nobody else may use the files
_LOOK = 0.05  # seconds between two looks whether a process is to go on
_LONGEST = 600.0  # seconds after which a process hangs
_KEPT_FILES = ("bars.duckdb", "bars.duckdb.wal", "ledger.db")
CHECK = ("store", "check", "--quiet")


class Ran(NamedTuple):
    """One process, and how it ended. `code` is negative where a signal ended it; `under`: the fault of the host that struck it; `check`:
    the exit code of a look at the store as it found it, where that was damaged and its answer gave rise to doubt; `gone`: files that
    were there before, and not after."""

    number: int
    code: int
    out: str
    err: str
    under: str = ""
    check: int | None = None
    gone: int | None = None


@dataclass(eq=False)
class HostScene(LoopbackScene):
    """One run's place. What a process needs of the settings stands in a file; what is read of the store by others is read in turn."""

    crowd: Crowd | None = None
    ran: list[Ran] = field(default_factory=list)
    edited: set[str] = field(default_factory=set)
    turn: RLock = field(default_factory=RLock)
    _numbers: count[int] = field(default_factory=lambda: count(1))
    _dice: Random = field(init=False)
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._dice = Random(f"{self.seed} host")  # noqa: S311  chance is to be repeatable
        self.home = self.settings.home / "home"
        world = self.home / "sandbox"
        world.mkdir(mode=0o700, parents=True)
        self.settings, self._straight = self._placed(self.settings, world), self._placed(self._straight, world)
        self.alone = any(fault.kind in _ON_A_COPY for fault in self.experiment.faults)
        self._write()
        if not any(KINDS[fault.kind].where == "host" for fault in self.experiment.faults):
            open_ledger(self.settings.ledger, self.machine).close()  # threads of one process, of which one builds what others find

    @staticmethod
    def _placed(settings: Settings, world: Path) -> Settings:
        return settings._replace(home=world, ledger=world / "ledger.db", store=world / "bars.duckdb")

    @property
    def config(self) -> Path:
        """The file of settings of all processes."""
        return self.home / "settings.yaml"

    def books(self) -> AbstractContextManager[Books]:
        """The ledger, open only while it is read: the files may be another's meanwhile."""
        return nullcontext(_Shut(self))

    def person(self, habit: Habit, desk: Desk, number: int) -> Person:
        """Who asks processes; where no fault is one of the host, only those of whom that is said."""
        if habit.program or any(KINDS[fault.kind].where == "host" for fault in self.experiment.faults):
            return Caller(habit, desk, number, scene=self)
        return Person(habit, desk, number)

    def crew(self) -> Crowd:
        self.crowd = super().crew()
        return self.crowd

    def inject(self) -> None:
        super().inject()
        self._write()

    def roll_back(self) -> None:
        super().roll_back()
        self._write()

    def hands(self) -> list[tuple[float, Callable[[], None]]]:
        """Who brings about the faults that befall the machine beside the processes."""
        lasts = self.experiment.phases.during
        until = self.clock.monotonic() + lasts
        mine = [f for f in self.experiment.faults if KINDS[f.kind].where == "host" and f.kind not in _OF_A_PROCESS and f.start < lasts]
        return [(fault.start, partial(self._befall, fault, until)) for fault in mine]

    def _befall(self, fault: Fault, until: float) -> None:
        ends = min(until, self.clock.monotonic() + fault.seconds)
        if fault.kind == "edited":
            self._edit(fault, ends)
            return
        with nearby(fault, self._site(self.home), self._dice):
            self.strike(fault)
            self.clock.pause(max(0.0, ends - self.clock.monotonic()))

    def _edit(self, fault: Fault, ends: float) -> None:
        times = int(fault.settings["count"])
        rest = (ends - self.clock.monotonic()) / times
        written = edits(self.config, self._dice)
        try:
            for _ in range(times):
                self.edited.add(next(written))
                self.strike(fault)
                self.clock.pause(rest)
        finally:
            written.close()

    def strike(self, fault: Fault) -> None:
        if self.plan is not None:
            self.plan.note(fault, "host")

    def _site(self, home: Path) -> Site:
        world = home / "sandbox"
        return Site(world / "ledger.db", self.config, world / "bars.duckdb")

    def run(self, *words: str, deadline: float, doubtful: Callable[[Ran], bool]) -> Ran:
        """A mdagent of these words, struck by what is on as it begins. One that takes ten times as long as its deadline is killed; where
        its answer of a damaged store is `doubtful`, that is checked as a user would."""
        with self.turn if self.alone else nullcontext():
            faults = [f for f in self.plan.striking("host", "") if f.kind in _OF_A_PROCESS] if self.plan and self.on else []
            for fault in faults:
                self.strike(fault)
            with ExitStack() as stack:
                home, before = self.home, None
                spoilt = [fault for fault in faults if fault.kind in ("damaged_ledger", "damaged_store")]
                if spoilt and (self.home / "sandbox" / "bars.duckdb").exists():
                    home = stack.enter_context(self._copied())
                    for fault in spoilt:
                        stack.enter_context(nearby(fault, self._site(home), self._dice))
                    before = _names(home)
                ran = self._run(home, faults, words, min(_LONGEST, 10 * deadline + 10))
                if before is not None:
                    ran = ran._replace(gone=0)
                    check = self._run(home, [], CHECK, _LONGEST).code if doubtful(ran) else None
                    ran = ran._replace(check=check, gone=len(before - _names(home)))
        with self._lock:
            self.ran.append(ran._replace(out="", err=""))
        return ran

    @contextmanager
    def _copied(self) -> Iterator[Path]:
        with TemporaryDirectory(dir=self.home.parent) as folder:
            yield self.home.parent / shutil.copytree(self.home, folder, dirs_exist_ok=True)

    def _run(self, home: Path, faults: Sequence[Fault], words: Sequence[str], longest: float) -> Ran:
        clock, killed = self.clock, next((f for f in faults if f.kind == "killed"), None)
        child = Child(home, self._environ(home), [f for f in faults if f.kind in ("few_files", "disk_full")])
        began = clock.monotonic()
        ends = began + (longest if killed is None else self._until_killed(killed))
        with child.start(*words) as process:
            try:
                while True:
                    try:
                        out, err = process.communicate(timeout=_LOOK)
                        break
                    except subprocess.TimeoutExpired:
                        if clock.monotonic() > ends or (self.crowd is not None and self.crowd.over):
                            _end(process)
            except BaseException:
                _end(process)
                raise
        return Ran(next(self._numbers), process.returncode, out, err, faults[-1].kind if faults else "")

    def _until_killed(self, fault: Fault) -> float:
        off = float(fault.settings["jitter"])
        return max(0.0, float(fault.settings["after"]) + self._dice.uniform(-off, off))

    def _environ(self, home: Path) -> dict[str, str]:
        told = {"MDAGENT_HOME": str(home), "MDAGENT_CONFIG": str(self.config), "MDAGENT_SANDBOX": "1", "HOME": str(home)}
        return told | {"MDAGENT_CLOCK": self.clock.now().isoformat(), "PATH": os.environ.get("PATH", os.defpath), "NO_COLOR": "1"}

    def _write(self) -> None:
        """The settings of all processes, as they are now; each source tells how they are called."""
        named = self.settings._replace(
            sources={n: told._replace(user_agent=f"{GOOD}-0") if told.enabled else told for n, told in self.settings.sources.items()}
        )
        self.config.write_text(_as_yaml(named), encoding="utf-8")


@dataclass(eq=False)
class _Shut:
    """A ledger that is opened to be read, and closed again."""

    scene: HostScene

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        scene = self.scene
        with scene.turn if scene.alone else nullcontext(), open_ledger(scene.settings.ledger, scene.machine) as ledger:
            return ledger.rows(query, *values)


def _end(process: subprocess.Popen[str]) -> None:
    """It, and whatever it has started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        process.kill()


def _names(home: Path) -> set[str]:
    return {path.name for path in (home / "sandbox").iterdir() if path.name in _KEPT_FILES}


def _as_yaml(settings: Settings) -> str:
    """What a file can hold of them, but for the places."""
    from mdagent.config.compare import plain

    tree: dict[str, Any] = {}
    for path, value in plain(settings, shared=True).items():
        if path in ("store", "log.file"):
            continue
        *sections, name = path.split(".")
        place = tree
        for section in sections:
            place = place.setdefault(section, {})
        place[name] = value
    return "\n".join(_lines(tree, "")) + "\n"


def _lines(tree: dict[str, Any], space: str) -> Iterator[str]:
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield f"{space}{name}:"
            yield from _lines(value, space + "  ")
        else:
            yield f"{space}{name}: {json.dumps(value, default=str)}"


def refuse_without_namespaces(faults: Sequence[Fault]) -> None:
    """Raises ConfigError where a small disk cannot be had on this machine."""
    if not any(fault.kind == "disk_full" for fault in faults):
        return
    words = ["unshare", "--user", "--map-root-user", "--mount", "true"]
    if shutil.which(words[0]) is None or subprocess.run(words, capture_output=True, check=False).returncode:  # noqa: S603  a fixed command
        msg = "fault disk_full needs mounts in a namespace of one's own, and this machine has none"
        raise ConfigError(msg, "run it on Linux where unshare --user --mount works, or leave that fault out")
