"""Faults of the machine: they press, limit, damage and kill; mdagent says what is the matter; nothing is left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest

from mdagent.clock import SystemClock, VirtualClock
from mdagent.config import Flags, load
from mdagent.errors import ConfigError, StoreDamaged
from mdagent.store.ledger import open_ledger
from mdagent.wire.faults import KINDS
from mdagent.wire.faults.host import NEARBY, Child, Site, nearby
from tests.processes.program import Program
from tests.wire.faults.scene import START, fault

if TYPE_CHECKING:
    from mdagent.wire.faults import Fault

NOWHERE = Site(Path("/nonexistent/ledger.db"), Path("/nonexistent/config.yaml"))
FETCH = ("fetch", "AAPL", "MSFT", "--start", "2024-01-02", "--end", "2024-02-01", "--format", "csv")


def descendants() -> list[str]:
    """The command lines of the processes that this one started and that are not over."""
    told = Path(f"/proc/self/task/{os.getpid()}/children").read_text("ascii").split()
    return [Path(f"/proc/{pid}/cmdline").read_text("utf-8").replace("\0", " ") for pid in told]


def outcome(home: Path, *faults: Fault) -> tuple[int, str]:
    with Child(home, Program(home).environ, faults).start(*FETCH) as running:
        _, err = running.communicate(timeout=120)
    assert "Traceback" not in err
    return running.returncode, err


def test_each_fault_of_the_host_has_who_brings_it_about() -> None:
    assert {"disk_full", "few_files", "killed", "edited", *NEARBY} == {name for name, kind in KINDS.items() if kind.where == "host"}


@pytest.mark.parametrize(("kind", "count"), [("cpu_pressure", 2), ("memory_pressure", 1)])
def test_neighbours_press_and_are_gone_afterwards(kind: str, count: int) -> None:
    settings = {"mib": 16} if kind == "memory_pressure" else {}
    with nearby(fault(kind, **settings), NOWHERE, Random(1)):
        assert sum("neighbour.py" in words for words in descendants()) == count
    assert not any("neighbour.py" in words for words in descendants())


def test_neighbours_do_not_outlive_who_started_them() -> None:
    script = (
        "import os; from pathlib import Path; from random import Random; from mdagent.wire.faults import Fault;"
        "from mdagent.wire.faults.host import Site, nearby;"
        "held = nearby(Fault('cpu_pressure', (), 0.0, 60.0), Site(Path('x'), Path('y')), Random(1)); held.__enter__();"
        "print(Path(f'/proc/self/task/{os.getpid()}/children').read_text(), flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    pids, clock = done.stdout.split(), SystemClock()
    assert done.returncode == -9
    assert len(pids) == 2
    for _ in range(500):
        if not any(_runs(pid) for pid in pids):
            break
        clock.pause(0.02)
    assert not any(_runs(pid) for pid in pids)


def _runs(pid: str) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"  # nobody may be there to bury it


def test_more_memory_than_the_machine_can_spare_is_not_taken() -> None:
    with pytest.raises(ConfigError, match="more than a quarter"), nearby(fault("memory_pressure", mib=900_000), NOWHERE, Random(1)):
        pass


@pytest.mark.parametrize(("how", "refused"), [("zeroed", True), ("cut", True), ("flipped", None), ("emptied", True)])
def test_a_damaged_ledger_is_refused_and_whole_again_afterwards(tmp_path: Path, how: str, refused: bool | None) -> None:
    site, clock = Site(tmp_path / "ledger.db", tmp_path / "config.yaml"), VirtualClock(START)
    open_ledger(site.ledger, clock).close()
    before = site.ledger.read_bytes()
    with nearby(fault("damaged_ledger", how=how), site, Random(1)):
        assert site.ledger.read_bytes() != before
        with pytest.raises(StoreDamaged) if refused else nullcontext():
            open_ledger(site.ledger, clock).close() if refused is not None else None
    assert site.ledger.read_bytes() == before
    open_ledger(site.ledger, clock).close()


@pytest.mark.parametrize("how", KINDS["bad_edit"].settings["how"].choices)
@pytest.mark.parametrize("content", ["", "fetch:\n  deadline: 20\nsources:\n  yahoo:\n    enabled: true\n"])
def test_a_bad_edit_is_refused_and_undone_afterwards(tmp_path: Path, how: str, content: str) -> None:
    site, environ = Site(tmp_path / "ledger.db", tmp_path / "config.yaml"), {"MDAGENT_HOME": str(tmp_path), "HOME": str(tmp_path)}
    if content:
        site.config.write_text(content, "utf-8")
    with nearby(fault("bad_edit", how=how), site, Random(1)), pytest.raises(ConfigError, match=r"config\.yaml"):
        load(Flags(), environ, tmp_path)
    load(Flags(), environ, tmp_path)
    assert site.config.exists() is bool(content)
    assert not content or site.config.read_text("utf-8") == content


@pytest.mark.parametrize("files", [8, 10])
def test_too_few_files_are_called_so_and_not_a_damaged_store(tmp_path: Path, files: int) -> None:
    code, err = outcome(tmp_path, fault("few_files", files=files))
    assert code == 3
    assert "ulimit -n" in err


@pytest.mark.drill
@pytest.mark.parametrize("files", [13, 14, 15])
def test_a_store_that_cannot_be_opened_for_want_of_files_is_not_damaged(tmp_path: Path, files: int) -> None:
    code, err = outcome(tmp_path, fault("few_files", files=files))
    assert code == 3
    assert "ulimit -n" in err
    assert outcome(tmp_path)[0] == 0


def namespaces() -> bool:
    """May mounts be made here in a namespace of one's own?"""
    return subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "true"], capture_output=True, check=False).returncode == 0


def test_a_full_disk_is_told_and_what_was_on_it_is_put_back(tmp_path: Path) -> None:
    if not namespaces():
        pytest.skip("no namespaces of users here")
    (tmp_path / "kept.txt").write_text("kept", "utf-8")
    code, err = outcome(tmp_path, fault("disk_full", room=0.0))
    assert code == 10
    assert "free some space" in err
    assert (tmp_path / "kept.txt").read_text("utf-8") == "kept"
    assert not os.path.ismount(tmp_path)


@pytest.mark.drill
@pytest.mark.parametrize("room", [0.1, 0.5, 2.0])
def test_a_disk_that_fills_up_loses_nothing_and_the_same_command_goes_on_once_there_is_room(tmp_path: Path, room: float) -> None:
    if not namespaces():
        pytest.skip("no namespaces of users here")
    code, err = outcome(tmp_path, fault("disk_full", room=room))
    assert code == 10, err
    assert outcome(tmp_path)[0] == 0


@pytest.mark.drill
@pytest.mark.parametrize("after", [0.2, 0.6, 1.2])
def test_a_killed_mdagent_leaves_what_the_next_one_can_go_on_with(tmp_path: Path, after: float) -> None:
    child = Child(tmp_path, Program(tmp_path).environ)
    assert child.killed(*FETCH, after=after, clock=SystemClock()) in (-9, 0)
    assert outcome(tmp_path)[0] == 0
