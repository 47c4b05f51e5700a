"""The faults of the machine, as rows of the table of kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mdagent.wire.faults.rows import Kind, Setting, one_of

if TYPE_CHECKING:
    from collections.abc import Mapping


def _host(says: str, **settings: Setting) -> Kind:
    return Kind("host", says, settings)


HOST: Final[Mapping[str, Kind]] = {
    "cpu_pressure": _host("other processes use the processors", workers=Setting(2, "how many processes", 1, 64)),
    "memory_pressure": _host("another process holds memory", mib=Setting(256, "MiB, at most a quarter of what is free", 1, 1e6)),
    "disk_full": _host("the disk on which mdagent keeps its files is nearly full", room=Setting(1.0, "MiB that are left", 0.0, 1e5)),
    "few_files": _host("mdagent may have but few files open", files=Setting(16, "how many", 8, 1e6)),
    "killed": _host(
        "a real mdagent is killed (SIGKILL)",
        after=Setting(1.0, "seconds after its start", 0.0, 3600.0),
        jitter=Setting(0.0, "seconds more or less, by chance", 0.0, 3600.0),
    ),
    "damaged_ledger": _host(
        "the ledger is damaged",
        how=one_of("zeroed", "cut", "flipped", "emptied", says="in which way"),
        bytes=Setting(64, "how many have a bit flipped", 1, 1e6),
    ),
    "damaged_store": _host(
        "a copy of the store is damaged, and mdagent reads that",
        how=one_of("any", "flipped", "cut", says="in which way: by chance, bits flipped, or its end cut off"),
        bytes=Setting(1, "how many have a bit flipped", 1, 1e6),
    ),
    "bad_edit": _host(
        "the configuration is edited badly", how=one_of("syntax", "unknown", "value", "half", "bytes", says="what is wrong with it")
    ),
    "edited": _host(
        "the configuration is edited again and again, every second time badly", count=Setting(200, "how many edits in all", 2, 1e5)
    ),
}
