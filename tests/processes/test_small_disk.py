"""Drill D18: the disk is full, in a file system of 6 MiB. The exit code says so, reads work, nothing that was committed is lost, and when
there is room again the same command completes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.processes.loopback import universe
from tests.processes.program import PATIENCE, Program

if TYPE_CHECKING:
    from pathlib import Path

TWO_YEARS = "--start 2022-01-01 --end 2024-01-01 --source yahoo"
MONTH = "--start 2024-01-02 --end 2024-02-01 --source yahoo"
FULL = 10
NOT_PERMITTED = 77
DISK = """
mount -t tmpfs -o size=6m tmpfs /mnt || exit 77
full() { dd if=/dev/zero of=/mnt/filler bs=4k 2>/dev/null; true; }
room() { rm -f /mnt/filler; }
bars() { $MDAGENT query "SELECT count(*) FROM bars" --csv | tail -1; }
told() { $MDAGENT query "SELECT * EXCLUDE (fetched_at, batch) FROM bars ORDER BY ALL" --csv >$TO/$1.csv; }
"""


@dataclass
class Machine:
    """Whose /mnt is a disk of 6 MiB, for one script; its own home is elsewhere."""

    folder: Path
    err: str = ""

    def run(self, script: str) -> dict[str, int]:
        """The lines `name=number` of the script. Skips the test where mounting is not permitted."""
        if shutil.which("unshare") is None:
            pytest.skip("unshare is not installed")
        program = Program(self.folder)
        environ = {**program.environ, "MDAGENT": f"{sys.executable} -m mdagent", "TO": str(self.folder)}
        command = ["unshare", "-rm", "sh", "-c", DISK + script]
        done = subprocess.run(command, env=environ, cwd=self.folder, capture_output=True, text=True, check=False, timeout=5 * PATIENCE)
        if done.returncode == NOT_PERMITTED or "unshare" in done.stderr:
            pytest.skip(f"mounting is not permitted here: {done.stderr}")
        assert "Traceback" not in done.stderr, done.stderr
        self.err = done.stderr
        return {name: int(number) for name, _, number in (line.partition("=") for line in done.stdout.splitlines())}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def in_backfill(machine: Machine, count: int) -> dict[str, int]:
    """The store itself fills the disk, and the disk grows."""
    (machine.folder / "symbols.txt").write_text("\n".join(universe(count)))
    return machine.run(f"""
    $MDAGENT backfill @symbols.txt {TWO_YEARS}; echo calm=$?
    told calm
    export MDAGENT_HOME=/mnt/home
    $MDAGENT backfill @symbols.txt {TWO_YEARS}; echo full=$?
    echo held=$(bars)
    $MDAGENT export SYM00001 {TWO_YEARS} --csv >/dev/null; echo export=$?
    $MDAGENT store check >/dev/null; echo sound=$?
    mount -o remount,size=64m /mnt
    echo kept=$(bars)
    $MDAGENT backfill @symbols.txt {TWO_YEARS}; echo again=$?
    told again
    cmp -s calm.csv again.csv; echo same=$?
    echo all=$(bars)
    """)


def test_a_full_ledger_says_so_and_reads_go_on(machine: Machine) -> None:
    codes = machine.run(f"""
    $MDAGENT fetch AAPL {MONTH} >/dev/null; echo first=$?
    store=$MDAGENT_HOME/sandbox/bars.duckdb
    export MDAGENT_HOME=/mnt/home
    full
    $MDAGENT --store $store fetch MSFT {MONTH} >/dev/null; echo unmade=$?
    room
    $MDAGENT --store $store fetch MSFT {MONTH} >/dev/null; echo made=$?
    full
    $MDAGENT --store $store fetch NVDA {MONTH} >/dev/null; echo full=$?
    $MDAGENT --store $store export MSFT {MONTH} --csv >/dev/null; echo export=$?
    room
    $MDAGENT --store $store fetch NVDA {MONTH} >/dev/null; echo again=$?
    """)
    assert codes == {"first": 0, "unmade": FULL, "made": 0, "full": FULL, "export": 0, "again": 0}
    assert machine.err.count("the ledger /mnt/home/sandbox/ledger.db cannot be written") == 2


def test_a_full_log_report_or_export_costs_no_bars(machine: Machine) -> None:
    codes = machine.run(f"""
    full
    $MDAGENT fetch AAPL {MONTH} -vv --log-file /mnt/run.log >/dev/null; echo log=$?
    $MDAGENT backfill MSFT {MONTH} --report /mnt/report.json; echo report=$?
    $MDAGENT export AAPL {MONTH} -o /mnt/aapl.parquet; echo parquet=$?
    $MDAGENT export AAPL {MONTH} -o /mnt/aapl.csv; echo csv=$?
    echo left=$(ls -A /mnt | grep -c -e aapl -e report)
    room
    echo held=$(bars)
    $MDAGENT export AAPL {MONTH} -o /mnt/aapl.parquet; echo again=$?
    """)
    assert codes == {"log": 0, "report": FULL, "parquet": FULL, "csv": FULL, "left": 0, "held": 42, "again": 0}
    assert machine.err.count("the log file /mnt/run.log cannot be written: No space left on device; the run goes on without it") == 1


@pytest.mark.drill(number="D18")
def test_a_disk_that_fills_in_a_backfill_loses_nothing_and_the_next_run_completes(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = in_backfill(machine, 50)
    with capsys.disabled():
        print(f"\n{codes}")  # noqa: T201  a drill's figures are its result
    held, everything = codes.pop("held"), codes.pop("all")
    assert codes == {"calm": 0, "full": FULL, "export": 0, "sound": 0, "kept": held, "again": 0, "same": 0}
    assert 0 < held < everything
