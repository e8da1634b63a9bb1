"""The files that a configuration is made of, places in them, and notes about places.

A ``Place`` has file, line and path; ``Notes`` puts mistakes or warnings into file order. ``References`` reads the
passwords and certificates that a configuration names, each file once however many gateways share it. ``Files`` records
what was read, to detect whether it has changed since.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
import ssl
import stat
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import voluptuous as vol

from probe_exporter.config import typed_yaml
from probe_exporter.config.schema import Pin
from probe_exporter.config.sections import Section, called, steps
from probe_exporter.config.values import HiddenKeyError
from probe_exporter.errors import Mistake
from probe_exporter.files import read_at_most, read_regular
from probe_exporter.secrets import Secret, read_secret_file

T = TypeVar("T")

MOST_OF_A_KIND = 10
_LARGEST_SOURCE = 32 * 1024 * 1024
_LARGEST_CERTIFICATE = 1024 * 1024
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----\s.*?-----END CERTIFICATE-----", re.DOTALL)


class Files:
    """Every file that a load has looked at, and what each pattern matched, to see whether they change.

    A changed symbolic link shows as well: Kubernetes swaps one to replace all files of a folder at once.
    """

    def __init__(self) -> None:
        self._signatures: dict[Path, object] = {}
        self._listings: dict[str, object] = {}

    def clear(self) -> None:
        """Forget everything, for another look."""
        self._signatures.clear()
        self._listings.clear()

    def reading(self, path: Path) -> None:
        """Record the state of a file; to be called before it is read."""
        self._signatures.setdefault(path, _signature(path))

    def matching(self, pattern: str) -> list[str]:
        """Return the paths that match, in order. Raises OSError where a folder on the way cannot be listed."""
        self._listings.setdefault(pattern, _listing(pattern))
        return _matching(pattern)

    def now(self) -> object:
        """Return the state of everything that was looked at, as it is now; equal while nothing changes."""
        return (
            {path: _signature(path) for path in list(self._signatures)},
            {pattern: _listing(pattern) for pattern in list(self._listings)},
        )

    def as_read(self) -> object:
        """Return the state of everything as it was when it was looked at, to be compared with `now`."""
        return dict(self._signatures), dict(self._listings)

    def changed(self) -> bool:
        """Return True if anything is different from when it was looked at."""
        return self.now() != self.as_read()


def _signature(path: Path) -> object:
    try:
        found = path.stat()
    except OSError as error:
        return error.errno
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_mode


def _matching(pattern: str) -> list[str]:
    parts = Path(pattern).parts
    for index, part in enumerate(parts):
        if glob.has_magic(part):
            # glob treats a folder that it cannot list as empty.
            for folder in glob.glob(os.path.join(*parts[:index]), recursive=True):
                if os.path.isdir(folder):
                    os.scandir(folder).close()
    return sorted(glob.glob(pattern, recursive=True))


def _listing(pattern: str) -> object:
    try:
        return _matching(pattern)
    except OSError as error:
        return error.errno


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that was read; ``order`` is its turn among the files of one configuration.

    Where the environment stands in for a file, ``variables`` has the name of the variable for each path.
    """

    path: Path
    root: typed_yaml.Value
    order: int
    world_readable: bool
    variables: Mapping[typed_yaml.Path, str] | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A spot in a file. As text it is ``file:line``."""

    source: SourceFile
    path: typed_yaml.Path = ()

    def below(self, *steps: str | int) -> Place:
        return Place(self.source, (*self.path, *steps))

    @property
    def variables(self) -> dict[str, str]:
        """The variables that stand in for the keys here; none where there is a file."""
        found = self.source.variables or {}
        return {str(path[-1]): name for path, name in found.items() if path[:-1] == self.path}

    def called(self, *keys: str) -> str:
        """Return how the user writes these keys of the section here, for messages."""
        return called(self.variables, *keys)

    def has(self, key: str) -> bool:
        """Return True if the mapping here has the key, with a valid value or not."""
        value = typed_yaml.value_at(self.source.root, self.path)
        return isinstance(value, dict) and key in value

    def __str__(self) -> str:
        return f"{self.source.path}:{self._line}"

    @property
    def _line(self) -> int:
        return typed_yaml.line_of(self.source.root, self.path) or 1

    def mistake(self, problem: str, *, hide_key: bool = False) -> Mistake:
        """Return a mistake at this place. ``hide_key``: the last step of the path may be a misplaced value."""
        file, variables = str(self.source.path), self.source.variables
        if variables is not None:
            return Mistake(file, None, variables.get(self.path, ""), problem)
        path = (*self.path[:-1], typed_yaml.HIDDEN) if hide_key else self.path
        return Mistake(file, self._line, typed_yaml.show_path(path), problem)

    def locate(self, name: str, *, also_here: bool = False) -> Path:
        """The file of this name, relative to the file that names it; ``also_here``: else to the working directory."""
        path = self.source.path.parent / name
        if also_here and not os.path.exists(path) and os.path.exists(name):
            return Path.cwd() / name
        return path


@dataclass(slots=True)
class Notes:
    """Mistakes or warnings of one load."""

    notes: list[tuple[int, Mistake]] = field(default_factory=list)
    _told: set[tuple[str, int | None, str]] = field(default_factory=set)

    def add(self, place: Place, problem: str, *, hide_key: bool = False) -> None:
        """Note a problem. ``hide_key``: the last step of the path may be a misplaced value and is not shown."""
        mistake = place.mistake(problem, hide_key=hide_key)
        if (mistake.file, mistake.line, mistake.path) not in self._told:
            self.notes.append((place.source.order, mistake))

    def add_syntax(self, order: int, mistakes: tuple[Mistake, ...]) -> None:
        """Note what is wrong with a file as YAML; what its schema says about the same places is left out."""
        self.notes += [(order, mistake) for mistake in mistakes]
        self._told |= {(mistake.file, mistake.line, mistake.path) for mistake in mistakes}

    def add_file(self, order: int, path: Path, problem: str) -> None:
        """Note a problem with a whole file."""
        self.notes.append((order, Mistake(str(path), None, "", problem)))

    def ordered(self) -> tuple[Mistake, ...]:
        """Return all of them in file order."""
        return tuple(note for _, note in sorted(self.notes, key=lambda item: (item[0], item[1].line or 0)))

    def summed_up(self) -> tuple[Mistake, ...]:
        """Return them in file order, at most ten of a kind, and then how many more there are.

        Two are of one kind if their text up to the semicolon, which begins the remedy, is the same.
        """
        shown: list[Mistake] = []
        kinds = Counter(_kind(note) for _, note in self.notes)
        seen: Counter[str] = Counter()
        for note in self.ordered():
            kind = _kind(note)
            seen[kind] += 1
            if seen[kind] <= MOST_OF_A_KIND:
                shown.append(note)
            elif seen[kind] == kinds[kind]:
                shown.append(Mistake(note.file, None, "", f"{kinds[kind] - MOST_OF_A_KIND} more: {kind}"))
        return tuple(shown)


def _kind(note: Mistake) -> str:
    return note.problem.partition(";")[0]


def checked(place: Place, section: Section, value: object, mistakes: Notes) -> dict[str, Any]:
    """Return what is right in a section; what is wrong is noted and left out."""
    try:
        return section.read(value)
    except vol.MultipleInvalid as error:
        errors = list(error.errors)
    except vol.Invalid as error:
        errors = [error]
    for one in errors:
        mistakes.add(place.below(*steps(one)), one.msg, hide_key=isinstance(one, HiddenKeyError))
    wrong = {one.path[0] for one in errors if one.path}
    if not isinstance(value, dict) or not wrong:
        return {}
    right = {key: item for key, item in value.items() if key not in wrong}
    return checked(place, section, right, mistakes)


def open_source(
    path: Path, order: int, mistakes: Notes, files: Files, variables: typed_yaml.Variables | None
) -> SourceFile | None:
    """Read one YAML file. Return None, with a mistake noted, where it cannot be used.

    ``variables`` are put in for ``${NAME}``; None where such a value is a mistake.
    """
    files.reading(path)
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise ValueError("is not a regular file; name a YAML file")
        with path.open("rb") as file:
            content = read_at_most(file, _LARGEST_SOURCE + 1)
        if len(content) > _LARGEST_SOURCE:
            raise ValueError("is larger than 32 MiB; split it with gateway_files")
        text = content.decode("utf-8-sig")
    except OSError as error:
        mistakes.add_file(order, path, f"cannot be read: {said(error)}")
        return None
    except UnicodeDecodeError:
        mistakes.add_file(order, path, "is not UTF-8 text; save it as UTF-8")
        return None
    except ValueError as error:
        mistakes.add_file(order, path, str(error))
        return None
    document = typed_yaml.read_yaml(text, str(path), variables)
    mistakes.add_syntax(order, document.mistakes)
    if document.mistakes and not document.value:
        return None
    return SourceFile(path, document.value, order, bool(mode & stat.S_IROTH))


def said(error: OSError) -> str:
    """Return the system's message, without the path: it may be a password in the wrong place."""
    return (error.strerror or type(error).__name__).lower()


class References:
    """Files that a configuration names, each read once however many gateways share it."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._found: dict[tuple[Path, object], Any] = {}

    def read(self, path: Path, reader: Callable[[Path], T]) -> T:
        """Return what ``reader`` makes of a file. Raises its OSError or ValueError, each time for the same file."""
        key = (path, reader)
        if key not in self._found:
            self._files.reading(path)
            try:
                self._found[key] = reader(path)
            except (OSError, ValueError) as error:
                self._found[key] = error
        found = self._found[key]
        if isinstance(found, Exception):
            raise found
        result: T = found
        return result

    def secret(self, path: Path) -> Secret:
        """Return the password in a file. Raises OSError, or ValueError with what to do."""
        return self.read(path, read_secret_file)

    def pin(self, path: Path) -> Pin | None:
        """Return the pin that a certificate file sets, None where there is no file yet.

        Raises OSError, or ValueError with what to do.
        """
        try:
            return self.read(path, read_pin)
        except FileNotFoundError:
            return None


def world_readable(path: Path) -> bool:
    """Return True if everybody on this machine may read the file. Raises OSError."""
    return bool(path.stat().st_mode & stat.S_IROTH)


def default_state_directory(environment: Mapping[str, str]) -> Path | None:
    """Return where state is kept unless the configuration names a place; None where no such place can be written.

    That is what systemd gives, else the user's own by the XDG base directory specification.
    """
    # systemd separates several directories by colons; the first is ours.
    given = environment.get("STATE_DIRECTORY", "").partition(":")[0]
    if given:
        return Path(given)
    home = environment.get("HOME", "")
    shared = environment.get("XDG_STATE_HOME", "") or (f"{home}/.local/state" if home else "")
    if not os.path.isabs(shared):
        return None
    directory = Path(shared) / "probe_exporter"
    there = next(path for path in (directory, *directory.parents) if os.path.exists(path))
    return directory if os.path.isdir(there) and os.access(there, os.W_OK | os.X_OK) else None


def read_pin(path: Path) -> Pin:
    """The pin that a PEM file sets. Raises OSError, or ValueError with what to do."""
    content = read_regular(path, _LARGEST_CERTIFICATE, "name a PEM file")
    block = _PEM.search(content.decode("ascii", "replace"))
    if block is None:
        raise ValueError("the file has no PEM certificate; fetch it again: remove the file and run fetchcert")
    try:
        der = ssl.PEM_cert_to_DER_cert(block[0])
        # OpenSSL itself decides if this is a certificate, because it also accepted the gateway's.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=der)
    except (ValueError, ssl.SSLError):
        raise ValueError(
            "the certificate in the file is damaged; remove the file and run fetchcert"
        ) from None
    return Pin(hashlib.sha256(der).digest(), str(path))
