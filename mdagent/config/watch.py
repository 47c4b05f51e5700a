"""Watching settings files: one call after a burst of changes."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

_CHANGES = {"created", "modified", "moved", "deleted"}  # not opened or closed: reading the file must not set it off


@contextmanager
def watch(paths: Iterable[Path], on_change: Callable[[], object], debounce: float = 0.2) -> Iterator[None]:
    """Call `on_change` (from a thread of its own) once no watched file has changed for `debounce` seconds.

    Folders are watched, not files, so that a file replaced by rename, or not there yet, is seen. A folder that does
    not exist is not watched. No call is under way or still to come once the context is left.
    """
    import threading

    from watchdog.events import FileSystemEvent, FileSystemEventHandler
    from watchdog.observers import Observer

    files = frozenset(paths)
    wanted = {str(path) for path in files}
    lock = threading.Lock()
    timer: list[threading.Timer] = []

    class Changes(FileSystemEventHandler):
        """Starts the wait anew at each change."""

        def on_any_event(self, event: FileSystemEvent) -> None:
            if event.event_type not in _CHANGES or not wanted & {str(event.src_path), str(event.dest_path)}:
                return
            with lock:
                for waiting in timer:
                    waiting.cancel()
                fresh = threading.Timer(debounce, on_change)
                fresh.daemon = True
                timer[:] = [fresh]
                fresh.start()

    observer = Observer()
    for folder in sorted({path.parent for path in files}):
        if folder.is_dir():
            observer.schedule(Changes(), str(folder))
    observer.start()
    try:
        yield
    finally:
        observer.stop()
        observer.join()
        for waiting in timer:
            waiting.cancel()
            waiting.join()
