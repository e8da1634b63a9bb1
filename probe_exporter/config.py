"""From configuration files to ``Config``: finds them, reads them, checks them, and says every mistake in one go.

Problems name file, line, path and remedy, and never a value: any value may be a password in the wrong place.
"""

from __future__ import annotations

import glob
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import voluptuous as vol

from probe_exporter import schema
from probe_exporter.errors import ConfigurationError
from probe_exporter.secrets import Secret
from probe_exporter.settings import (
    COLLECTORS,
    DEFAULT_EMAIL,
    DEFAULT_MODULE,
    PLAIN_MODULE,
    Address,
    Config,
    GatewayConfig,
    Module,
    Pin,
    WebConfig,
    default_timeout,
)
from probe_exporter.sources import Notes, Place, References, Source, open_source, said, world_readable

__all__ = [
    "COLLECTORS",
    "DEFAULT_EMAIL",
    "DEFAULT_MODULE",
    "Address",
    "Config",
    "GatewayConfig",
    "Module",
    "Pin",
    "WebConfig",
    "find_config",
    "load_config",
]

FILE_NAMES = ("probe_exporter.yaml", "powerwall_exporter.yaml")
SYSTEM_DIRECTORY = Path("/etc/probe_exporter")

_NO_GATEWAYS = (
    "no gateway is configured; write one below gateways:, for example "
    "`gateways: {home: {gateway_address: 192.0.2.10, login_password: …}}`, or the Go exporter's device: section"
)
_NOT_VALIDATED = (
    "TLS is not validated: whoever answers at this address gets the password; "
    "set tls_cert_file or tls_fingerprint (probe_exporter fetchcert gives both)"
)


def find_config() -> Path | None:
    """The first configuration file in the current directory, the program's, and /etc/probe_exporter; or None."""
    program = Path(sys.argv[0] if sys.argv and sys.argv[0] else ".").resolve().parent
    for directory in (Path(), program, SYSTEM_DIRECTORY):
        for name in FILE_NAMES:
            if (directory / name).is_file():
                return directory / name
    return None


def load_config(path: Path, *, environment: Mapping[str, str] = os.environ) -> Config:
    """The configuration in one file and the files that it names.

    Raises ConfigurationError with every mistake found, and nothing else.
    """
    return _Loading(environment).load(path)


@dataclass(frozen=True, slots=True)
class _Credentials:
    """What one gateway or module says; None where it says nothing."""

    email: str | None
    password: Secret | None


_NO_CREDENTIALS = _Credentials(None, None)


class _Loading:
    """One load of one configuration. Goes on after a mistake, so that all of them are told."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._mistakes = Notes()
        self._warnings = Notes()
        self._environment = environment
        self._modules: dict[str, Module] = {}
        self._module_credentials: dict[str, _Credentials] = {}
        self._module_places: dict[str, Place] = {}
        self._gateways: dict[str, GatewayConfig] = {}
        self._gateway_places: dict[str, Place] = {}
        self._references = References()
        self._opened = 0
        self._exposed: set[Path] = set()

    def load(self, path: Path) -> Config:
        main = self._open(path)
        if main is None:
            raise ConfigurationError(self._mistakes.ordered())
        top = Place(main)
        found = self._checked(top, schema.TOP, main.root)
        web = self._web(top.below("web"), found.get("web", ""))
        self._read_modules(top.below("modules"), found.get("modules", {}))
        device = None
        if "device" in found:
            device = self._device(top.below("device"), found["device"])
        self._read_gateways(top.below("gateways"), found.get("gateways", {}))
        for source in self._gateway_files(top.below("gateway_files"), found.get("gateway_files", [])):
            self._read_gateway_file(source)
        state = self._state_directory(top.below("state_directory"), found.get("state_directory"))
        self._cross_check()
        if not self._gateways and not self._mistakes.notes:
            self._mistakes.add(top, _NO_GATEWAYS)
        if self._mistakes.notes:
            raise ConfigurationError(self._mistakes.ordered())
        warnings = tuple(str(warning) for warning in self._warnings.ordered())
        return Config(path, web, self._modules, self._gateways, device, state, warnings)

    # Files

    def _open(self, path: Path) -> Source | None:
        self._opened += 1
        return open_source(path, self._opened, self._mistakes)

    def _gateway_files(self, place: Place, patterns: list[str]) -> Iterator[Source]:
        seen = {os.path.realpath(place.source.path)}
        for index, pattern in enumerate(patterns):
            where = place if len(patterns) == 1 else place.below(index)
            names = sorted(glob.glob(str(place.source.path.parent / pattern), recursive=True))
            if not names and glob.has_magic(pattern):
                self._warnings.add(where, "no file matches this pattern")
            elif not names:
                self._mistakes.add(
                    where, "there is no such file; relative paths begin at the directory of this file"
                )
            for name in names:
                if os.path.realpath(name) not in seen:
                    seen.add(os.path.realpath(name))
                    source = self._open(Path(name))
                    if source is not None:
                        yield source

    def _read_gateway_file(self, source: Source) -> None:
        top = Place(source)
        root = source.root
        if isinstance(root, dict) and root and _is_bare(root):
            self._read_gateways(top, root)
            return
        found = self._checked(top, schema.GATEWAY_FILE, root)
        self._read_gateways(top.below("gateways"), found.get("gateways", {}))

    # Sections

    def _checked(
        self, place: Place, check: Callable[[object], dict[str, Any]], value: object
    ) -> dict[str, Any]:
        """What is right in a section; what is wrong is noted and left out."""
        try:
            return check(value)
        except vol.MultipleInvalid as error:
            errors = list(error.errors)
        except vol.Invalid as error:
            errors = [error]
        for one in errors:
            hide = isinstance(one, schema.HiddenKeyError)
            self._mistakes.add(place.below(*schema.steps(one)), one.msg, hide_key=hide)
        wrong = {one.path[0] for one in errors if one.path}
        if not isinstance(value, dict) or not wrong:
            return {}
        return self._checked(place, check, {key: item for key, item in value.items() if key not in wrong})

    def _named(self, place: Place, name: str) -> bool:
        try:
            schema.name(name)
        except schema.HiddenKeyError as error:
            self._mistakes.add(place.below(name), error.msg, hide_key=True)
            return False
        return True

    def _web(self, place: Place, value: object) -> WebConfig:
        found = self._checked(place, schema.WEB, schema.without_empty(value))
        return WebConfig(found.get("listen_address", ":9871"), found.get("metrics_path", "/metrics"))

    def _read_modules(self, place: Place, modules: Mapping[str, object]) -> None:
        self._modules[DEFAULT_MODULE] = PLAIN_MODULE
        for name, value in modules.items():
            if self._named(place, name):
                here = place.below(name)
                self._module_places[name] = here
                found = self._checked(here, schema.MODULE, value)
                self._module_credentials[name] = self._credentials(here, found)
                self._modules[name] = self._module(here, name, found)

    def _module(self, place: Place, name: str, found: dict[str, Any]) -> Module:
        interval, timeout = found.get("scrape_interval"), found.get("scrape_timeout")
        if (interval is None) != (timeout is None):
            there, missing = "scrape_interval", "scrape_timeout"
            if interval is None:
                there, missing = missing, there
            if not place.has(missing):
                self._mistakes.add(place.below(there), f"needs {missing} beside it; write both or neither")
        elif interval is not None and timeout is not None and timeout > interval:
            self._mistakes.add(place.below("scrape_timeout"), "must not be longer than scrape_interval")
        values = {key: value for key, value in found.items() if not key.startswith("login_")}
        module = replace(PLAIN_MODULE, name=name, timeout_is_default="timeout" not in found, **values)
        return (
            replace(module, timeout=default_timeout(module.retry_timeout))
            if module.timeout_is_default
            else module
        )

    def _device(self, place: Place, value: Mapping[str, object]) -> str | None:
        found = self._checked(place, schema.GATEWAY, schema.without_empty(value))
        if "gateway_address" not in found:
            if not value.get("gateway_address"):
                self._mistakes.add(
                    place, "has no gateway_address; write the address of the gateway below device:"
                )
            return None
        name: str = found["gateway_address"][0].text
        self._add_gateway(place, name, found, also_here=True)
        return name

    def _read_gateways(self, place: Place, gateways: Mapping[str, object]) -> None:
        for name, value in gateways.items():
            if not self._named(place, name):
                continue
            here = place.below(name)
            found = self._checked(here, schema.GATEWAY, value)
            if "gateway_address" not in found and not here.has("gateway_address"):
                try:
                    found["gateway_address"] = schema.addresses(name)
                except vol.Invalid:
                    self._mistakes.add(
                        here, "has no gateway_address, and its name is no address; write one of them"
                    )
            earlier = self._gateway_places.get(name)
            if earlier is not None:
                self._mistakes.add(
                    here, f"a gateway of this name stands in {earlier} already; rename or remove one"
                )
            else:
                self._add_gateway(here, name, found)

    def _add_gateway(
        self, place: Place, name: str, found: dict[str, Any], *, also_here: bool = False
    ) -> None:
        module: str = found.get("module", DEFAULT_MODULE)
        if module not in self._modules:
            hint = schema.suggestion(module, self._modules)
            self._mistakes.add(
                place.below("module"), f"there is no such module{hint}; define it below modules:"
            )
        own = self._credentials(place, found, also_here=also_here)
        shared = self._module_credentials.get(module, _NO_CREDENTIALS)
        file, pin = self._pin(place, name, found, also_here=also_here)
        gateway = GatewayConfig(
            name=name,
            addresses=found.get("gateway_address", ()),
            login_email=own.email or shared.email or DEFAULT_EMAIL,
            login_password=own.password or shared.password,
            pin=pin,
            tls_cert_file=file,
            pin_missing=file is not None and pin is None,
            module=module,
            labels=found.get("labels", {}),
            retry_interval=found.get("retry_interval"),
            retry_timeout=found.get("retry_timeout"),
        )
        self._gateways[name] = gateway
        self._gateway_places[name] = place
        if pin is None and file is None:
            self._warnings.add(place, _NOT_VALIDATED)
        if gateway.login_password is None:
            self._warnings.add(place, "has no login_password: only what needs no login is read")

    def _credentials(self, place: Place, found: dict[str, Any], *, also_here: bool = False) -> _Credentials:
        password: Secret | None = found.get("login_password")
        file: str | None = found.get("login_password_file")
        if password is not None:
            self._warn_if_exposed(
                place.below("login_password"), place.source.path, place.source.world_readable
            )
        if file is not None:
            here = place.below("login_password_file")
            if place.has("login_password") and password is not None:
                self._mistakes.add(here, "login_password is given too; keep one of them")
            path = here.locate(file, also_here=also_here)
            try:
                password = self._references.secret(path)
                self._warn_if_exposed(here, path, world_readable(path))
            except OSError as error:
                self._mistakes.add(
                    here, f"the file cannot be read: {said(error)}; check path and permissions"
                )
            except ValueError as error:
                self._mistakes.add(here, str(error))
        return _Credentials(found.get("login_email"), password)

    def _warn_if_exposed(self, place: Place, path: Path, exposed: bool) -> None:
        if exposed and path not in self._exposed:
            self._exposed.add(path)
            command = f"chmod o-rwx {shlex.quote(str(path))}"
            self._warnings.add(place, f"everybody on this machine can read this password; run: {command}")

    def _pin(
        self, place: Place, name: str, found: dict[str, Any], *, also_here: bool
    ) -> tuple[Path | None, Pin | None]:
        """The certificate file, where one is named, and the pin, where there is one already."""
        file: str | None = found.get("tls_cert_file")
        fingerprint: bytes | None = found.get("tls_fingerprint")
        if file is None:
            return None, None if fingerprint is None else Pin(fingerprint, "tls_fingerprint")
        if fingerprint is not None:
            self._mistakes.add(place.below("tls_fingerprint"), "tls_cert_file is given too; keep one of them")
        here = place.below("tls_cert_file")
        path = here.locate(file, also_here=also_here)
        try:
            pin = self._references.pin(path)
        except OSError as error:
            self._mistakes.add(here, f"the file cannot be read: {said(error)}; check path and permissions")
            return path, None
        except ValueError as error:
            self._mistakes.add(here, str(error))
            return path, None
        if pin is None:
            command = f"probe_exporter fetchcert {shlex.quote(name)}"
            self._warnings.add(
                here, f"the file does not exist yet, so probes of this gateway fail; run: {command}"
            )
        return path, pin

    def _state_directory(self, place: Place, name: str | None) -> Path | None:
        if name is None:
            # systemd separates several directories by colons; the first is ours.
            first = self._environment.get("STATE_DIRECTORY", "").partition(":")[0]
            return Path(first) if first else None
        path = place.locate(name)
        if os.path.exists(path) and not os.path.isdir(path):
            self._mistakes.add(place, "is no directory; name one, or a path where one can be made")
        return path

    # Between gateways

    def _cross_check(self) -> None:
        owners: dict[tuple[str, int], str] = {}
        for name, gateway in self._gateways.items():
            for index, address in enumerate(gateway.addresses):
                owner = owners.setdefault(schema.address_key(address), name)
                if owner != name:
                    place = self._address_place(name, index if len(gateway.addresses) > 1 else None)
                    earlier = self._gateway_places[owner]
                    self._mistakes.add(
                        place, f"the gateway in {earlier} has this address already; remove one"
                    )
        for name in self._gateways:
            owner = owners.get(schema.address_in(name), name)
            if owner != name and self._gateway_places[name].has("gateway_address"):
                place, other = self._gateway_places[name], self._gateway_places[owner]
                self._mistakes.add(place, f"this name is the address of the gateway in {other}; rename one")
        used = {gateway.module for gateway in self._gateways.values()}
        for name, place in self._module_places.items():
            if name not in used and name != DEFAULT_MODULE:
                self._warnings.add(place, "no gateway uses this module; only ?module= reaches it")

    def _address_place(self, name: str, index: int | None) -> Place:
        place = self._gateway_places[name]
        if not place.has("gateway_address"):
            return place
        place = place.below("gateway_address")
        return place if index is None else place.below(index)


def _is_bare(root: Mapping[str, object]) -> bool:
    """Whether a gateway file lists its gateways at the top, without ``gateways:`` above them."""
    sections = {"gateways", "gateway", *schema.TOP_KEYS}
    return not sections & root.keys() and all(isinstance(item, dict) or item == "" for item in root.values())
