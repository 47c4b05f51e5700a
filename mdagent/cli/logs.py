"""The log: standard logging to stderr and, when asked, to a file; one event a line, no secret in it."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO

from mdagent.errors import ConfigError
from mdagent.untrusted import one_line

if TYPE_CHECKING:
    from pathlib import Path

    from mdagent.config import Settings

_LEVELS = {0: None, 1: logging.INFO, 2: logging.DEBUG, 3: logging.DEBUG}


class Line(logging.Formatter):
    """One event as one line of text or JSON, with every secret blanked."""

    def __init__(self, secrets: tuple[str, ...], *, as_json: bool) -> None:
        super().__init__()
        self._secrets = secrets
        self._json = as_json

    def format(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text += f": {record.exc_info[1]}"
        for secret in self._secrets:
            text = text.replace(secret, "***")
        text = one_line(text, 2000)
        if not self._json:
            return f"{record.levelname.lower()}: {record.name}: {text}"
        import json

        at = datetime.fromtimestamp(record.created, UTC)
        return json.dumps({"at": f"{at:%Y-%m-%dT%H:%M:%SZ}", "level": record.levelname.lower(), "logger": record.name, "event": text})


class File(logging.FileHandler):
    """A log in a file. Where that cannot be written it is said once, and the run goes on without it."""

    def __init__(self, path: Path, err: TextIO) -> None:
        super().__init__(path, encoding="utf-8")
        self._err = err
        self._told = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  logging calls it so
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._told:
            self._told = True
            self._err.write(f"the log file {self.baseFilename} cannot be written: {error.strerror}; the run goes on without it\n")


def start_log(settings: Settings, err: TextIO) -> None:
    """Set the root logger up for this run. The HTTP libraries stay at WARNING: their INFO lines hold whole URLs."""
    root = logging.getLogger()
    form = Line(settings.secrets(), as_json=settings.log.format == "json")
    told = _LEVELS.get(settings.verbose)
    root.setLevel(told if told is not None else getattr(logging, settings.log.level.upper()))
    for old in root.handlers[:]:
        if isinstance(old.formatter, Line):
            root.removeHandler(old)
            old.close()
    handlers: list[logging.Handler] = [logging.StreamHandler(err)]
    if settings.quiet:
        handlers[0].setLevel(logging.ERROR)
    if settings.log.file:
        try:
            handlers.append(File(settings.log.file, err))
        except OSError as error:
            msg = f"the log file {settings.log.file} cannot be written: {error.strerror}"
            raise ConfigError(msg, "set --log-file to a place you may write") from error
    for handler in handlers:
        handler.setFormatter(form)
        root.addHandler(handler)
    for name in ("httpx", "httpcore", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
