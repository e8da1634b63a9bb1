"""The files that a section ``tedapi:`` names: key, password, certificate and query texts."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from probe_exporter.config.schema import GatewayConfig, Module, Pin
from probe_exporter.config.sources import Notes, Place, References, said, world_readable
from probe_exporter.config.tedapi_section import COLLECTOR, TedapiConfig, TedapiKeys, TedapiPart
from probe_exporter.secrets import Secret, read_secret_file
from probe_exporter.tedapi.keys import read_key_file
from probe_exporter.tedapi.queries import INSTALL, Queries, extra_installed, installed_file, load_queries

SECRETS: Final = ("rsa_key_file", "gateway_password", "gateway_password_file")

_NO_EXTRA: Final = f"needs packages that are not installed; run: {INSTALL}"


class TedapiReader:
    """Reads the files that sections name; mistakes and warnings are noted, not raised."""

    def __init__(self, references: References, mistakes: Notes, warnings: Notes, unread: Notes) -> None:
        self._references = references
        self._mistakes = mistakes
        self._warnings = warnings
        self._unread = unread

    def applied(
        self, place: Place, gateway: GatewayConfig, part: TedapiPart, modules: Mapping[str, Module]
    ) -> GatewayConfig:
        """Return the gateway with what its section leads to, where it has one."""
        if part.tedapi is None:
            return gateway
        place = place.below("tedapi")
        module = modules.get(gateway.module)
        if module is not None and COLLECTOR not in module.collectors:
            self._warnings.add(
                place, "its module leaves out the collector tedapi: its metrics are not exported"
            )
        return replace(gateway, tedapi=self._read(place, part.tedapi, gateway))

    def _read(self, place: Place, keys: TedapiKeys, gateway: GatewayConfig) -> TedapiConfig | None:
        """Return the access in force, None where a mistake was noted."""
        pinned = gateway.pin is not None or gateway.pin_missing
        before = len(self._mistakes.notes)
        if not extra_installed():
            self._mistakes.add(place, _NO_EXTRA)
        given = [name for name in SECRETS if getattr(keys, name) is not None]
        if len(given) != 1:
            self._mistakes.add(
                place,
                f"must have exactly one of {place.called('rsa_key_file')} (home network), "
                f"{place.called('gateway_password')} and {place.called('gateway_password_file')} (the gateway's own "
                "Wi-Fi)",
            )
        if given == ["rsa_key_file"] and keys.din is None and gateway.login_password is None:
            self._mistakes.add(
                place,
                f"has no {place.called('din')}, and without {gateway.called('login_password')} there is no way to ask "
                "for it; write the DIN of the label, such as 1707000-21-K--TG1234567890AB",
            )
        rsa_key = self._secret(place, keys.rsa_key_file, "rsa_key_file", read_key_file)
        password = keys.gateway_password or self._secret(
            place, keys.gateway_password_file, "gateway_password_file", read_secret_file
        )
        file, pin = self._pin(place, keys)
        queries = self._texts(place, keys.queries_file)
        if file is None and pin is None and (keys.gateway_address is not None or not pinned):
            self._warnings.add(
                place,
                "TLS is not validated at the address of TEDAPI: any host that answers there gets the password or "
                f"signed requests; set its own {place.called('tls_cert_file', 'tls_fingerprint')}",
            )
        if len(self._mistakes.notes) > before:
            return None
        missing = file is not None and pin is None
        return TedapiConfig(keys, rsa_key, password, queries, pin, file, missing, place.variables)

    def _secret(
        self, place: Place, name: str | None, which: str, read: Callable[[Path], Secret]
    ) -> Secret | None:
        if name is None:
            return None
        path = place.locate(name)
        here = place.below(which)
        try:
            found = self._references.read(path, read)
            if world_readable(path):
                command = f"chmod o-rwx {shlex.quote(str(path))}"
                self._warnings.add(here, f"everybody on this machine can read this secret; run: {command}")
            return found
        except OSError as error:
            self._unread.add(here, f"the file cannot be read: {said(error)}; check path and permissions")
        except ValueError as error:
            self._mistakes.add(here, str(error))
        return None

    def _pin(self, place: Place, keys: TedapiKeys) -> tuple[Path | None, Pin | None]:
        if keys.tls_fingerprint is not None:
            if keys.tls_cert_file is not None:
                self._mistakes.add(
                    place.below("tls_fingerprint"), "tls_cert_file is given too; keep one of them"
                )
            source = place.variables.get("tls_fingerprint", "tls_fingerprint of tedapi")
            return None, Pin(keys.tls_fingerprint, source)
        if keys.tls_cert_file is None:
            return None, None
        path = place.locate(keys.tls_cert_file)
        try:
            return path, self._references.pin(path)
        except OSError as error:
            problem = f"the file cannot be read: {said(error)}; check path and permissions"
            self._mistakes.add(place.below("tls_cert_file"), problem)
        except ValueError as error:
            self._mistakes.add(place.below("tls_cert_file"), str(error))
        return path, None

    def _texts(self, place: Place, name: str | None) -> Queries:
        path = installed_file() if name is None else place.locate(name)
        here = place if name is None else place.below("queries_file")
        if path is None:
            problem = f"no query texts are found: run {INSTALL}, or name V2024_06.json of pypowerwall in"
            self._mistakes.add(here, f"{problem} {place.called('queries_file')}")
            return {}
        try:
            return self._references.read(path, load_queries)
        except OSError as error:
            self._mistakes.add(here, f"the file cannot be read: {said(error)}; check path and permissions")
        except ValueError as error:
            self._mistakes.add(here, str(error))
        return {}


def tedapi_address(config: GatewayConfig, section: TedapiConfig) -> GatewayConfig:
    """The address of TEDAPI, and the certificate that is expected there.

    The gateway's own pin holds at the gateway's own addresses alone.
    """
    address = section.keys.gateway_address
    if address is None and not section.own_pin:
        return config
    return replace(
        config,
        addresses=config.addresses if address is None else (address,),
        pin=section.pin,
        tls_cert_file=section.tls_cert_file,
        pin_missing=section.pin_missing,
        variables=section.variables,
    )
