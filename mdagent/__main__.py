"""`python -m mdagent`: the same as the command `mdagent`."""

from __future__ import annotations

from mdagent.cli import run

if __name__ == "__main__":
    run()
