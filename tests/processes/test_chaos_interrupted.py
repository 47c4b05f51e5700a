"""Ctrl-C in the midst of an experiment: rolled back, told, kept, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import gettempdir

import pytest

LONG = """\
title: A day without the first source
clock: 2024-02-05T15:00:00Z
sources: [yahoo, twelvedata]
phases: {before: 2s, during: 30d, after: 2s}
load: [{who: prompt, asks: quote, every: 1s, symbols: [AAPL]}]
hypothesis: {availability: 99.5%}
faults: [{kind: refused, sources: [yahoo]}]
"""

HOST = """\
title: Processes that run long, on a machine that is pressed
clock: 2024-02-05T15:00:00Z
sources: [yahoo]
real_time: true
phases: {before: 300ms, during: 30d, after: 2s}
load:
  - {who: watcher, asks: status, every: 200ms}
  - {who: chart, asks: fetch, every: 1s, fresh: true, deadline: 60s, after: 400ms}
hypothesis: {tracebacks: 0}
faults:
  - {kind: toxic_timeout}
  - {kind: cpu_pressure, workers: 1}
  - {kind: killed, probability: 0.1}
"""


@pytest.mark.parametrize(
    ("text", "sent", "code", "more"),
    [
        (LONG, signal.SIGINT, 130, ()),
        (LONG, signal.SIGTERM, 143, ()),
        (LONG, signal.SIGINT, 130, ("--real-time",)),
        (HOST, signal.SIGTERM, 143, ()),
    ],
)
def test_an_experiment_that_is_interrupted_rolls_back_and_says_so(
    tmp_path: Path, text: str, sent: signal.Signals, code: int, more: tuple[str, ...]
) -> None:
    (tmp_path / "long.yaml").write_text(text, "utf-8")
    environ = {"PATH": os.environ["PATH"], "MDAGENT_HOME": str(tmp_path / "home")}
    words = [sys.executable, "-m", "mdagent", "--sandbox", "chaos", "run", "long.yaml", "--json", *more]
    with subprocess.Popen(words, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "during the faults" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(sent)
        out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    told = json.loads(out)
    assert (told["verdict"], told["why"]) == ("interrupted", "interrupted during the faults")
    assert "Traceback" not in err
    places = ("/dev/shm", gettempdir())  # noqa: S108  both are looked into
    folders = [p for place in places for p in Path(place).glob(f"mdagent-chaos-{process.pid}-*")]
    assert not folders, "that of its stores is gone"
    assert not _started_in(f"mdagent-chaos-{process.pid}-"), "and so is whoever worked there"


def _started_in(folder: str) -> list[str]:
    """Processes whose command line or home names that folder."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            told = (place / "environ").read_bytes() + (place / "cmdline").read_bytes()
        except OSError:
            continue
        if folder.encode() in told:
            found.append(place.name)
    return found
