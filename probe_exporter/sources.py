"""The files that a configuration is made of, places in them, and notes about places.

A ``Place`` knows file, line and path; ``Notes`` puts mistakes or warnings into file order. ``References`` reads the
passwords and certificates that a configuration names, each file once however many gateways share it.
"""

from __future__ import annotations

import hashlib
import os
import re
import ssl
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from probe_exporter import typed_yaml
from probe_exporter.errors import Mistake
from probe_exporter.files import read_regular
from probe_exporter.schema import Pin
from probe_exporter.secrets import Secret, read_secret_file

_LARGEST_SOURCE = 32 * 1024 * 1024
_LARGEST_CERTIFICATE = 1024 * 1024
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----\s.*?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file that was read; ``order`` is its turn among the files of one configuration."""

    path: Path
    root: typed_yaml.Value
    order: int
    world_readable: bool


@dataclass(frozen=True, slots=True)
class Place:
    """One spot in one file. As text it is ``file:line``."""

    source: SourceFile
    path: typed_yaml.Path = ()

    def below(self, *steps: str | int) -> Place:
        return Place(self.source, (*self.path, *steps))

    def has(self, key: str) -> bool:
        """Return True if the mapping here has the key, right or wrong."""
        value = typed_yaml.value_at(self.source.root, self.path)
        return isinstance(value, dict) and key in value

    @property
    def line(self) -> int:
        return typed_yaml.line_of(self.source.root, self.path) or 1

    def __str__(self) -> str:
        return f"{self.source.path}:{self.line}"

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
        path = (*place.path[:-1], typed_yaml.HIDDEN) if hide_key else place.path
        mistake = Mistake(str(place.source.path), place.line, typed_yaml.show_path(path), problem)
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
        return tuple(note for _, note in sorted(self.notes, key=lambda item: (item[0], item[1].line or 0)))


def open_source(path: Path, order: int, mistakes: Notes) -> SourceFile | None:
    """Read one YAML file. None, and a mistake on record, where nothing of it can be used."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise ValueError("is not a regular file; name a YAML file")
        with path.open("rb") as file:
            content = file.read(_LARGEST_SOURCE + 1)
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
    document = typed_yaml.read_yaml(text, str(path))
    mistakes.add_syntax(order, document.mistakes)
    if document.mistakes and not document.value:
        return None
    return SourceFile(path, document.value, order, bool(mode & stat.S_IROTH))


def said(error: OSError) -> str:
    """What the system said, without the path: it may be a password in the wrong place."""
    return (error.strerror or type(error).__name__).lower()


class References:
    """Files that a configuration names. Raises the same OSError or ValueError each time for the same file."""

    def __init__(self) -> None:
        self._secrets: dict[Path, Secret | OSError | ValueError] = {}
        self._pins: dict[Path, Pin | OSError | ValueError | None] = {}
        self._certificates = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    def secret(self, path: Path) -> Secret:
        """The password in a file. Raises OSError, or ValueError with what to do."""
        if path not in self._secrets:
            try:
                self._secrets[path] = read_secret_file(path)
            except (OSError, ValueError) as error:
                self._secrets[path] = error
        found = self._secrets[path]
        if isinstance(found, Exception):
            raise found
        return found

    def pin(self, path: Path) -> Pin | None:
        """The pin that a certificate file sets, None where there is no file yet.

        Raises OSError, or ValueError with what to do.
        """
        if path not in self._pins:
            try:
                self._pins[path] = self._read_pin(path)
            except FileNotFoundError:
                self._pins[path] = None
            except (OSError, ValueError) as error:
                self._pins[path] = error
        found = self._pins[path]
        if isinstance(found, Exception):
            raise found
        return found

    def _read_pin(self, path: Path) -> Pin:
        content = read_regular(path, _LARGEST_CERTIFICATE, "name a PEM file")
        block = _PEM.search(content.decode("ascii", "replace"))
        if block is None:
            raise ValueError(
                "the file has no PEM certificate; fetch it again: remove the file and run fetchcert"
            )
        try:
            der = ssl.PEM_cert_to_DER_cert(block[0])
            # OpenSSL itself judges what is a certificate, since it is who accepted the gateway's.
            self._certificates.load_verify_locations(cadata=der)
        except (ValueError, ssl.SSLError):
            raise ValueError(
                "the certificate in the file is damaged; remove the file and run fetchcert"
            ) from None
        return Pin(hashlib.sha256(der).digest(), str(path))


def world_readable(path: Path) -> bool:
    """Return True if everybody on this machine may read the file. Raises OSError."""
    return bool(path.stat().st_mode & stat.S_IROTH)


def default_state_directory(environment: Mapping[str, str]) -> Path | None:
    """Where state is kept unless the configuration says so; None where no such place can be written.

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
