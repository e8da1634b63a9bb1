"""Writing files whole or not at all, and reading regular files only."""

from __future__ import annotations

import os
import stat
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

Done = Callable[["OSError | None"], None]
"""Called once a file is written, with the error where that failed."""

Write = Callable[[Path, bytes, Done], None]
"""Writes a small file, readable by its owner only. Never raises."""

_LEFTOVER: Final = 3600.0

_PIECE: Final = 1 << 16

_AT_ONCE: Final = 8
"""Files that are written at a time: the disk takes longer to confirm that one is safe than to write it."""


def read_regular(path: Path, most: int, remedy: str = "name a file") -> bytes:
    """The first ``most`` bytes of a file.

    Raises OSError, and ValueError with the ``remedy`` for a pipe or device, whose reading may never end.
    """
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return read_at_most(file, most)
    except IsADirectoryError:
        pass
    raise ValueError(f"is not a regular file; {remedy}")


def read_at_most(file: BinaryIO, most: int) -> bytes:
    """The first ``most`` bytes of a file, in pieces: for a read of 32 MiB at once, Python allocates as much memory."""
    pieces: list[bytes] = []
    while most > 0 and (piece := file.read(min(most, _PIECE))):
        pieces.append(piece)
        most -= len(piece)
    return b"".join(pieces)


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files older than an hour that a killed program left in ``folder``."""
    for path in folder.glob(".*.json.*"):
        try:
            if time.time() - path.stat().st_mtime > _LEFTOVER:
                path.unlink()
        except OSError:
            continue  # another exporter has removed it, or permission is missing


def write_whole(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Put ``data`` at ``path``: a reader sees what was there before, or all of it. Raises OSError.

    The folder must exist. ``mode`` is the file's, whatever the umask says.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def write_now(path: Path, data: bytes, done: Done) -> None:
    """Write a file of the state directory, and return when it is on disk."""
    error = None
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, data)
    except OSError as failure:
        error = failure
    done(error)


class Saver:
    """Writes files in threads of its own, for an event loop that must not wait for a disk.

    Of two writes to one path the later one is what stays.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: dict[Path, tuple[bytes, tuple[Done, ...]]] = {}
        self._writing: set[Path] = set()
        self._threads = 0

    def write(self, path: Path, data: bytes, done: Done) -> None:
        """Write soon, and call ``done`` then, perhaps in another thread."""
        with self._changed:
            _, before = self._waiting.pop(path, (b"", ()))
            self._waiting[path] = data, (*before, done)
            if self._threads >= _AT_ONCE:
                return
            self._threads += 1
        try:
            threading.Thread(target=self._write_all, name="state", daemon=True).start()
        except RuntimeError:  # the system allows no further thread
            self._write_all()

    def close(self, seconds: float) -> bool:
        """Return True when everything is on disk, False if it is not after ``seconds``."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._writing, seconds)

    def _write_all(self) -> None:
        while (found := self._next()) is not None:
            path, data, waiting = found
            write_now(path, data, partial(self._written, path, waiting))

    def _next(self) -> tuple[Path, bytes, tuple[Done, ...]] | None:
        """Take a write from the list. One path is written by one thread at a time: the newer write must come last."""
        with self._changed:
            path = next((path for path in self._waiting if path not in self._writing), None)
            if path is None:
                self._threads -= 1
                return None
            self._writing.add(path)
            return path, *self._waiting.pop(path)

    def _written(self, path: Path, waiting: tuple[Done, ...], error: OSError | None) -> None:
        for done in waiting:
            done(error)
        with self._changed:
            self._writing.discard(path)
            self._changed.notify_all()
