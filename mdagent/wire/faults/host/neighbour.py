"""A process that takes what others need; run as a script: `neighbour.py cpu SECONDS` or `neighbour.py memory SECONDS MIB`.

It ends when its standard input does, so that it never outlives who started it, and after those seconds in any case. It prints one line
once it presses.
"""

from __future__ import annotations

import resource
import select
import signal
import sys

_MIB = 1024 * 1024
_PAGE = 4096


def main(what: str, seconds: int, mib: int = 0) -> None:
    """Press until there is nobody any more for whom."""
    signal.alarm(seconds)  # whose usual consequence is the end
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    held = bytearray(mib * _MIB)
    for place in range(0, len(held), _PAGE):
        held[place] = 1
    sys.stdout.write("pressing\n")
    sys.stdout.flush()
    while not select.select([sys.stdin], [], [], 0.0 if what == "cpu" else None)[0]:
        for _ in range(200_000):
            pass


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
