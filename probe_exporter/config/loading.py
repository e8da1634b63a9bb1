"""From configuration files to ``Config``: finds, reads and checks them, and reports every mistake at once.

Problems name file, line, path and remedy, and never a value: any value may be a password in the wrong place.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import voluptuous as vol

from probe_exporter.config import schema, sections, tariff_section, values
from probe_exporter.config.access import AccessReader, Declared
from probe_exporter.config.conflicts import note_conflicts, warn_of_tariffs
from probe_exporter.config.environment import ADDRESS, environment_source
from probe_exporter.config.gateway_files import GatewayFiles
from probe_exporter.config.schema import (
    DEFAULT_EMAIL,
    DEFAULT_MODULE,
    Access,
    GatewayConfig,
    Module,
    OwnPin,
    Pin,
    WebConfig,
)
from probe_exporter.config.settings import Config, with_default_timeout
from probe_exporter.config.sources import (
    Files,
    Notes,
    Place,
    References,
    SourceFile,
    checked,
    default_state_directory,
    open_source,
)
from probe_exporter.config.tariff_section import WrittenTariff
from probe_exporter.config.tedapi_access import TedapiReader
from probe_exporter.config.tedapi_section import TedapiPart
from probe_exporter.errors import ConfigurationError, Mistake
from probe_exporter.tariffs import Tariff

FILE_NAMES = ("probe_exporter.yaml", "powerwall_exporter.yaml")
SYSTEM_DIRECTORY = Path("/etc/probe_exporter")

_NO_GATEWAYS = (
    "no gateway is configured; write one below gateways:, for example "
    "`gateways: {home: {gateway_address: 192.0.2.10, login_password: …}}`, or the Go exporter's device: section"
)
_CHANGING = "the files of this configuration change while they are read; try again"
_MOST_ATTEMPTS = 3


def find_config() -> Path | None:
    """Return the first configuration file in the current directory, the program's, and /etc/probe_exporter; or None."""
    program = Path(sys.argv[0] if sys.argv and sys.argv[0] else ".").resolve().parent
    for directory in (Path(), program, SYSTEM_DIRECTORY):
        for name in FILE_NAMES:
            if (directory / name).is_file():
                return directory / name
    return None


def load_config(
    path: Path | None,
    *,
    environment: Mapping[str, str] = os.environ,
    expand: bool = False,
    without_secrets: bool = False,
    previous: Config | None = None,
    files: Files | None = None,
) -> Config:
    """Return the configuration in one file and the files that it names, all of them as they were at one moment.

    Without a path, the gateway of ``environment``. ``expand`` puts its variables in for ``${NAME}``;
    ``without_secrets`` turns the mistake of a password file that cannot be read into a warning; ``previous`` is the
    configuration in force: what matched then must match now. ``files`` has everything that was looked at, also after a
    mistake. Raises ConfigurationError with every mistake found, and nothing else.
    """
    files = Files() if files is None else files
    variables = environment if expand else None
    for _ in range(_MOST_ATTEMPTS):
        files.clear()
        loading = _Loading(environment, variables, previous, files, without_secrets=without_secrets)
        try:
            found: Config | ConfigurationError = loading.load(path)
        except ConfigurationError as error:
            found = error
        if not files.changed():
            break
    else:
        found = ConfigurationError((Mistake(str(path), None, "", _CHANGING),))
    if isinstance(found, ConfigurationError):
        raise found
    return found


class _Loading:
    """A single load of the configuration. It goes on after a mistake, so that it finds all of them."""

    def __init__(
        self,
        environment: Mapping[str, str],
        variables: Mapping[str, str] | None,
        previous: Config | None,
        files: Files,
        *,
        without_secrets: bool,
    ) -> None:
        self._mistakes = Notes()
        self._warnings = Notes()
        self._environment = environment
        self._variables = variables
        self._files = files
        self._gateway_files = GatewayFiles(files, self._mistakes, self._warnings, previous)
        secrets = self._warnings if without_secrets else self._mistakes
        references = References(files)
        self._access = AccessReader(references, self._mistakes, self._warnings, secrets, previous)
        self._tedapi = TedapiReader(references, self._mistakes, self._warnings, secrets)
        self._modules: dict[str, Module] = {DEFAULT_MODULE: Module()}
        self._shared: dict[str, Declared] = {}
        self._gateways: dict[str, GatewayConfig] = {}
        self._gateway_places: dict[str, Place] = {}
        self._tariffs: dict[str, WrittenTariff] = {}
        self._tariff_places: dict[str, Place] = {}
        self._in_force: dict[str, Tariff] = {}
        self._opened = 0

    def load(self, path: Path | None) -> Config:
        """Return the configuration of the file at ``path``, or else of the environment. Raises ConfigurationError."""
        device = None
        if path is not None:
            main = self._open(path)
        else:
            main, device = environment_source(self._environment) or (None, None)
            if main is None:
                self._mistakes.add_file(
                    0, Path("environment"), f"{ADDRESS} is not set; set it, or name a file"
                )
        if main is None:
            raise ConfigurationError(self._mistakes.ordered())
        place = Place(main)
        top = sections.take(schema.Top, self._checked(place, schema.TOP, main.root))
        web = self._checked(place.below("web"), schema.WEB, sections.without_empty(top.web))
        self._read_modules(place.below("modules"), top.modules)
        self._read_tariffs(place.below("tariffs"), top.tariffs)
        if top.device is not None:
            device = self._device(place.below("device"), top.device)
        self._read_gateways(place.below("gateways"), top.gateways)
        self._read_gateway_files(place.below("gateway_files"), top.gateway_files or [])
        state = self._state_directory(place.below("state_directory"), top.state_directory)
        note_conflicts(self._gateways, self._gateway_places, self._mistakes)
        self._note_idle_modules()
        warn_of_tariffs(
            self._gateways, self._modules, self._tariff_places, self._gateway_places, self._warnings
        )
        if not self._gateways and not top.gateway_files and not self._mistakes.notes:
            self._mistakes.add(place, _NO_GATEWAYS)
        if self._mistakes.notes:
            raise ConfigurationError(self._mistakes.ordered())
        return Config(
            path,
            sections.take(WebConfig, web),
            self._modules,
            self._gateways,
            device,
            state,
            self._warnings.summed_up(),
            self._tariffs,
            tuple(self._gateway_files.matched),
            tuple(self._gateway_files.unmatched),
        )

    # Files

    def _open(self, path: Path) -> SourceFile | None:
        self._opened += 1
        return open_source(path, self._opened, self._mistakes, self._files, self._variables)

    def _read_gateway_files(self, place: Place, patterns: list[str]) -> None:
        for path in self._gateway_files.paths(place, patterns):
            source = self._open(path)
            if source is not None:
                here, gateways = self._gateway_files.gateways_of(source)
                self._read_gateways(here, gateways)

    # Sections

    def _checked(self, place: Place, section: sections.Section, value: object) -> dict[str, Any]:
        return checked(place, section, value, self._mistakes)

    def _named(self, place: Place, entries: Mapping[str, object]) -> Iterator[tuple[str, Place, object]]:
        """Yield the entries of a section whose keys are names, without those whose name is a mistake."""
        for name, value in entries.items():
            try:
                yield values.name(name), place.below(name), value
            except values.HiddenKeyError as error:
                self._mistakes.add(place.below(name), error.msg, hide_key=True)

    def _read_modules(self, place: Place, modules: Mapping[str, object]) -> None:
        for name, here, value in self._named(place, modules):
            found = self._checked(here, schema.MODULE, value)
            self._shared[name] = Declared(here, sections.take(Access, found))
            self._access.check_module(self._shared[name])
            module = sections.take(Module, found, name=name, timeout_is_default="timeout" not in found)
            self._check_scrape_times(here, module)
            self._modules[name] = with_default_timeout(module)

    def _note_idle_modules(self) -> None:
        used = {gateway.module for gateway in self._gateways.values()}
        for name, shared in self._shared.items():
            if name not in used and name != DEFAULT_MODULE:
                self._warnings.add(shared.place, "no gateway uses this module; only ?module= reaches it")

    def _check_scrape_times(self, place: Place, module: Module) -> None:
        interval, timeout = module.scrape_interval, module.scrape_timeout
        for there, missing in (("scrape_interval", "scrape_timeout"), ("scrape_timeout", "scrape_interval")):
            if getattr(module, there) is not None and not place.has(missing):
                self._mistakes.add(place.below(there), f"needs {missing} beside it; write both or neither")
        if interval is not None and timeout is not None and timeout > interval:
            self._mistakes.add(place.below("scrape_timeout"), "must not be longer than scrape_interval")

    def _read_tariffs(self, place: Place, tariffs: Mapping[str, object]) -> None:
        for name, here, value in self._named(place, tariffs):
            written = tariff_section.written_tariff(self._checked(here, tariff_section.TARIFF, value))
            self._tariffs[name] = written
            self._tariff_places[name] = here
            made = tariff_section.built(name, written, value if isinstance(value, dict) else ())
            if isinstance(made, Tariff):
                self._in_force[name] = made
                continue
            for path, problem in made:
                self._mistakes.add(here.below(*path), problem)

    def _prices(self, place: Place, tariff: str | None) -> Tariff | None:
        if tariff is not None and tariff not in self._tariffs:
            hint = values.suggestion(tariff, self._tariffs)
            self._mistakes.add(
                place.below("tariff"), f"there is no such tariff{hint}; define it below tariffs:"
            )
        return self._in_force.get(schema.DEFAULT_TARIFF if tariff is None else tariff)

    def _device(self, place: Place, value: Mapping[str, object]) -> str | None:
        found = self._checked(place, schema.GATEWAY, sections.without_empty(value))
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
        for name, here, value in self._named(place, gateways):
            found = self._checked(here, schema.GATEWAY, value)
            if "gateway_address" not in found and not here.has("gateway_address"):
                try:
                    found["gateway_address"] = values.addresses(name)
                except vol.Invalid:
                    self._mistakes.add(
                        here, "has no gateway_address, and its name is not an address; write one of them"
                    )
            earlier = self._gateway_places.get(name)
            if earlier is not None:
                self._mistakes.add(
                    here, f"a gateway of this name is in {earlier} already; rename or remove one"
                )
            else:
                self._add_gateway(here, name, found)

    def _add_gateway(
        self, place: Place, name: str, found: dict[str, Any], *, also_here: bool = False
    ) -> None:
        found.setdefault("gateway_address", ())
        gateway = sections.take(
            GatewayConfig, found, name=name, **self._access_to(place, name, found, also_here)
        )
        if gateway.module not in self._modules:
            hint = values.suggestion(gateway.module, self._modules)
            self._mistakes.add(
                place.below("module"), f"there is no such module{hint}; define it below modules:"
            )
        gateway = replace(gateway, prices=self._prices(place, gateway.tariff))
        gateway = self._tedapi.applied(place, gateway, sections.take(TedapiPart, found), self._modules)
        if gateway.home is not None:
            if gateway.labels.get("home", gateway.home) != gateway.home:
                self._mistakes.add(
                    place.below("labels", "home"), "differs from home: of this gateway; keep one"
                )
            gateway = replace(gateway, labels={**gateway.labels, "home": gateway.home})
        self._gateways[name] = gateway
        self._gateway_places[name] = place
        if gateway.pin is None and not gateway.pin_missing:
            keys = place.called("tls_cert_file", "tls_fingerprint")
            self._warnings.add(
                place,
                "TLS is not validated: any host that answers at this address gets the password; "
                f"set {keys} (probe_exporter fetchcert gives both)",
            )

    def _access_to(self, place: Place, name: str, found: dict[str, Any], also_here: bool) -> dict[str, Any]:
        """Return the fields of GatewayConfig that its keys lead to, and where those are missing, its module's."""
        own = Declared(place, sections.take(Access, found), also_here)
        shared = self._shared.get(found.get("module", DEFAULT_MODULE), Declared(place, Access()))
        password = self._access.password(own, place, name)
        if password is None and not own.access.login_password_file:
            password = self._access.password(shared, place, name)
        if password is None and not (own.access.login_password_file or shared.access.login_password_file):
            key = place.called("login_password")
            self._warnings.add(place, f"has no {key}: only what needs no login is read")
        fingerprint = sections.take(OwnPin, found).tls_fingerprint
        pin = None if fingerprint is None else Pin(fingerprint, place.called("tls_fingerprint"))
        file = None
        if own.access.tls_cert_file is not None and fingerprint is not None:
            key = place.called("tls_cert_file")
            self._mistakes.add(place.below("tls_fingerprint"), f"{key} is given too; keep one of them")
        elif fingerprint is None:
            file, pin = self._access.pin(own if own.access.tls_cert_file else shared, place, name)
        return {
            "login_email": own.access.login_email or shared.access.login_email or DEFAULT_EMAIL,
            "login_password": password,
            "tls_cert_file": file,
            "pin": pin,
            "pin_missing": file is not None and pin is None,
            "variables": place.variables,
        }

    def _state_directory(self, place: Place, name: str | None) -> Path | None:
        if name is None:
            return default_state_directory(self._environment)
        path = place.locate(name)
        if os.path.exists(path) and not os.path.isdir(path):
            self._mistakes.add(place, "is not a directory; name one, or a path where one can be made")
        return path
