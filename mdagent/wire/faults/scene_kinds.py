"""The faults of a simulated time, as rows of the table of kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mdagent.wire.faults.rows import Kind, Setting

if TYPE_CHECKING:
    from collections.abc import Mapping

SCENE: Final[Mapping[str, Kind]] = {
    "lock_held": Kind("scene", "another process holds the lock of the store, and looks whether the store stays as it is"),
    "clock_step": Kind("scene", "this machine's clock is set, and set back at the end", {"by": Setting(-3600.0, "seconds", -4e7, 4e7)}),
}
