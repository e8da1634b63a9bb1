"""Writing files whole or not at all, and reading regular files only."""

from __future__ import annotations

import os
import stat
import tempfile
import time
from pathlib import Path
from typing import Final

_LEFTOVER: Final = 3600.0


def read_regular(path: Path, most: int, remedy: str = "name a file") -> bytes:
    """The first ``most`` bytes of a file.

    Raises OSError, and ValueError with the ``remedy`` for a pipe or device, whose reading may never end.
    """
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return file.read(most)
    except IsADirectoryError:
        pass
    raise ValueError(f"is not a regular file; {remedy}")


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def remove_leftovers(folder: Path) -> None:
    """Remove what a program that was killed while it wrote left in ``folder``: temporary files older than an hour."""
    for path in folder.glob(".*.json.*"):
        try:
            if time.time() - path.stat().st_mtime > _LEFTOVER:
                path.unlink()
        except OSError:
            continue  # another exporter has removed it, or may not


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
