"""Settings: one frozen tree from defaults, files, environment variables and flags.

Importing this loads no YAML, platformdirs or watchdog; they are loaded where a file is read or watched.
"""

from mdagent.config.compare import Change, compare, diff, fingerprint, flatten, plain
from mdagent.config.kinds import LimitSettings
from mdagent.config.loading import DEFAULT, Loaded, defaults, load
from mdagent.config.places import Flags, Places, find_places, home_of, prepare_home
from mdagent.config.secret import Secret
from mdagent.config.template import template
from mdagent.config.tree import (
    KNOWN_SOURCES,
    FetchSettings,
    LockSettings,
    LogSettings,
    SessionSettings,
    Settings,
    SourceSettings,
    TimeoutSettings,
    WireSettings,
    World,
)
from mdagent.config.watch import watch

__all__ = [
    "DEFAULT",
    "KNOWN_SOURCES",
    "Change",
    "FetchSettings",
    "Flags",
    "LimitSettings",
    "Loaded",
    "LockSettings",
    "LogSettings",
    "Places",
    "Secret",
    "SessionSettings",
    "Settings",
    "SourceSettings",
    "TimeoutSettings",
    "WireSettings",
    "World",
    "compare",
    "defaults",
    "diff",
    "find_places",
    "fingerprint",
    "flatten",
    "home_of",
    "load",
    "plain",
    "prepare_home",
    "template",
    "watch",
]
