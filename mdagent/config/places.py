"""Where things are kept: settings files, and the home of each world."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mdagent.config.layers import absolute, user_home
from mdagent.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mdagent.config.tree import Settings, World

PROJECT_FILES = ("mdagent.yaml", ".mdagent.yaml")
USER_FILE = "config.yaml"


class Flags(NamedTuple):
    """The global options of the command line, as typed; what was not typed is None, False or 0."""

    config: Path | None = None
    store: Path | None = None
    env: str | None = None
    sandbox: bool = False
    replay: Path | None = None
    record: Path | None = None
    quiet: bool = False
    verbose: int = 0
    no_color: bool = False
    log_format: str | None = None
    log_file: Path | None = None


class Places(NamedTuple):
    """Where settings files are looked for. `explicit` (--config or MDAGENT_CONFIG) replaces `project` and `user`.

    `home` is the home of the live world; `home_origin` tells who chose it.
    """

    explicit: Path | None
    project: tuple[Path, ...]
    user: Path
    home: Path
    home_origin: str

    def present(self) -> tuple[Path, ...]:
        """The files to read, lowest precedence first. An explicit file is among them even if it is missing."""
        if self.explicit is not None:
            return (self.explicit,)
        found = [path for path in self.project if path.is_file()]
        if len(found) > 1:
            msg = f"two project files: {found[0]} and {found[1].name}"
            raise ConfigError(msg, "keep one of them")
        return (*((self.user,) if self.user.is_file() else ()), *found)

    def watched(self) -> tuple[Path, ...]:
        """All files whose appearance or change could change the settings."""
        return (self.explicit,) if self.explicit is not None else (self.user, *self.project)


def find_places(flags: Flags, environ: Mapping[str, str], cwd: Path) -> Places:
    """Tell the places; looks at no file."""
    explicit = flags.config or (Path(environ["MDAGENT_CONFIG"]) if environ.get("MDAGENT_CONFIG") else None)
    if moved := environ.get("MDAGENT_HOME"):
        home, origin = absolute(Path(moved), cwd, environ), "MDAGENT_HOME"
        user = home / USER_FILE
    else:
        home, origin = _data_dir(environ), "default"
        user = _config_dir(environ) / USER_FILE
    return Places(
        explicit=None if explicit is None else absolute(explicit, cwd, environ),
        project=tuple(cwd / name for name in PROJECT_FILES),
        user=user,
        home=home,
        home_origin=origin,
    )


def home_of(world: World, home: Path) -> Path:
    """The folder of a world: bars that are not live have one of their own."""
    return home if world == "live" else home / world


def prepare_home(settings: Settings) -> None:
    """Make the folders of ledger, store and log, mode 0700. Raises ConfigError naming folder and option."""
    import os

    wanted = [(settings.home, "set MDAGENT_HOME to a folder that can be written")]
    wanted.append((settings.store.parent, "name another file with --store or MDAGENT_STORE"))
    if settings.log.file is not None:
        wanted.append((settings.log.file.parent, "name another file with --log-file or MDAGENT_LOG_FILE"))
    for folder, hint in wanted:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as exc:
            msg = f"{folder}: the folder cannot be made: {exc.strerror}"
            raise ConfigError(msg, hint) from exc
        if not os.access(folder, os.W_OK | os.X_OK):
            msg = f"{folder}: the folder cannot be written"
            raise ConfigError(msg, hint)


def _config_dir(environ: Mapping[str, str]) -> Path:
    if _is_xdg():
        return _xdg(environ, "XDG_CONFIG_HOME", ".config")
    from platformdirs import user_config_path

    return user_config_path("mdagent", appauthor=False)


def _data_dir(environ: Mapping[str, str]) -> Path:
    if _is_xdg():
        return _xdg(environ, "XDG_DATA_HOME", ".local/share")
    from platformdirs import user_data_path

    return user_data_path("mdagent", appauthor=False)


def _is_xdg() -> bool:
    return sys.platform not in {"darwin", "win32"}


def _xdg(environ: Mapping[str, str], variable: str, fallback: str) -> Path:
    """The XDG rule, which ignores a relative path. platformdirs says the same for 10 ms more, and reads its own environment."""
    folder = Path(environ.get(variable, ""))
    return (folder if folder.is_absolute() else user_home(environ) / fallback) / "mdagent"
