"""The access to each gateway: the password and the pin that its keys, or those of its module, lead to."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from probe_exporter.config.schema import Access, Pin
from probe_exporter.config.settings import Config
from probe_exporter.config.sources import Notes, Place, References, said, world_readable
from probe_exporter.secrets import Secret

_NAME = "{name}"


@dataclass(frozen=True, slots=True)
class Declared:
    """The keys of a gateway or a module about access, and their place."""

    place: Place
    access: Access
    also_here: bool = False

    def place_of(self, key: str, gateway: Place) -> Place:
        """Return the place of a missing file of this key: a pattern of a module leads to one file for each gateway."""
        pattern = _NAME in (getattr(self.access, key) or "")
        return gateway if pattern and self.place != gateway else self.place.below(key)


class AccessReader:
    """Reads the keys of gateways and modules about access; mistakes and warnings are noted, not raised.

    ``unread`` takes the note that a password file cannot be read. A certificate file that ``previous``, the
    configuration in force, pins must still exist.
    """

    def __init__(
        self,
        references: References,
        mistakes: Notes,
        warnings: Notes,
        unread: Notes,
        previous: Config | None = None,
    ) -> None:
        self._references = references
        self._mistakes = mistakes
        self._warnings = warnings
        self._unread = unread
        known = previous.gateways.values() if previous else ()
        self._pinned_before = {gateway.tls_cert_file for gateway in known if gateway.pin is not None}
        self._exposed: set[Path] = set()

    def check_module(self, declared: Declared) -> None:
        """Note what is wrong with the access that a module shares, whether a gateway uses it or not."""
        certificate, file = declared.access.tls_cert_file, declared.access.login_password_file
        if certificate is not None and _NAME not in certificate:
            self._mistakes.add(
                declared.place.below("tls_cert_file"),
                "must have {name} in it, as each gateway has a certificate of its own; write certs/{name}.pem",
            )
        if file is None or _NAME not in file:
            self.password(declared, declared.place, "")

    def password(self, declared: Declared, gateway: Place, name: str) -> Secret | None:
        """Return the password that a gateway or its module gives, None where it gives none or a mistake was noted."""
        access = declared.access
        if access.login_password is not None:
            source = declared.place.source
            self._warn_if_exposed(declared.place.below("login_password"), source.path, source.world_readable)
        if access.login_password_file is None:
            return access.login_password
        here = declared.place_of("login_password_file", gateway)
        if access.login_password is not None:
            self._mistakes.add(
                here, f"{declared.place.called('login_password')} is given too; keep one of them"
            )
        path = self._locate(declared, access.login_password_file, gateway, name)
        try:
            password = self._references.secret(path)
            self._warn_if_exposed(here, path, world_readable(path))
        except OSError as error:
            problem = f"the file cannot be read: {said(error)}; check path and permissions"
            self._unread.add(here, _of_key("login_password_file", problem, here, gateway))
        except ValueError as error:
            self._mistakes.add(here, _of_key("login_password_file", str(error), here, gateway))
        else:
            return password
        return None

    def pin(self, declared: Declared, gateway: Place, name: str) -> tuple[Path | None, Pin | None]:
        """Return the certificate file that is named, and the pin where the file is there."""
        file = declared.access.tls_cert_file
        if file is None:
            return None, None
        here = declared.place_of("tls_cert_file", gateway)
        path = self._locate(declared, file, gateway, name)
        try:
            pin = self._references.pin(path)
        except OSError as error:
            problem = f"the file cannot be read: {said(error)}; check path and permissions"
            self._mistakes.add(here, _of_key("tls_cert_file", problem, here, gateway))
            return path, None
        except ValueError as error:
            self._mistakes.add(here, _of_key("tls_cert_file", str(error), here, gateway))
            return path, None
        if pin is None and path in self._pinned_before:
            problem = (
                "the file was there and is gone; put it back: without it no probe of this gateway succeeds"
            )
            self._mistakes.add(here, _of_key("tls_cert_file", problem, here, gateway))
        elif pin is None:
            command = f"probe_exporter fetchcert {shlex.quote(name)}"
            problem = f"the file does not exist yet, so probes of this gateway fail; run: {command}"
            self._warnings.add(here, _of_key("tls_cert_file", problem, here, gateway))
        return path, pin

    def _locate(self, declared: Declared, file: str, gateway: Place, name: str) -> Path:
        if _NAME in file and "/" in name:
            self._mistakes.add(gateway, "has a / in its name, which is to be part of a file name; rename it")
        return declared.place.locate(file.replace(_NAME, name), also_here=declared.also_here)

    def _warn_if_exposed(self, place: Place, path: Path, exposed: bool) -> None:
        if exposed and path not in self._exposed:
            self._exposed.add(path)
            command = f"chmod o-rwx {shlex.quote(str(path))}"
            self._warnings.add(place, f"everybody on this machine can read this password; run: {command}")


def _of_key(key: str, problem: str, here: Place, gateway: Place) -> str:
    """Return the problem, with the key of the module whose pattern led to it where the gateway is the place."""
    return f"{key} of its module: {problem}" if here == gateway else problem
