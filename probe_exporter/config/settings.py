"""The configuration in force: the result of ``config.load_config``. All times are seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from probe_exporter.config.schema import DEFAULT_EMAIL, GatewayConfig, Module, WebConfig
from probe_exporter.config.sections import show
from probe_exporter.config.tariff_section import WrittenTariff
from probe_exporter.config.values import some_of
from probe_exporter.errors import Mistake, UnknownModuleError
from probe_exporter.secrets import MASK

TIME_BEYOND_RETRIES = 10.0
"""Seconds of a probe, where its ``timeout`` is not written, beyond ``retry_timeout``."""


@dataclass(frozen=True, slots=True)
class Config:
    """The configuration of one file and of the files that it names.

    ``path`` is None without a file. ``modules`` always has ``default``; ``gateways`` includes the gateway of
    ``device:`` under its address, which ``device`` then names. ``warnings`` are in file order. ``matched`` are the
    patterns of ``gateway_files`` that match a file, ``unmatched`` those that match none.
    """

    path: Path | None
    web: WebConfig
    modules: Mapping[str, Module]
    gateways: Mapping[str, GatewayConfig]
    device: str | None
    state_directory: Path | None
    warnings: tuple[Mistake, ...]
    tariffs: Mapping[str, WrittenTariff] = field(default_factory=dict)
    matched: tuple[str, ...] = ()
    unmatched: tuple[str, ...] = ()

    @property
    def origin(self) -> str:
        """The origin, for messages: the path of the file, or the environment."""
        return "environment" if self.path is None else str(self.path)

    def module_for(self, gateway: GatewayConfig, module: str | None = None) -> Module:
        """Return the module with which this gateway is probed, with the gateway's own ``retry_*`` applied.

        ``module`` names another one than the gateway's. Raises UnknownModuleError, without repeating the name.
        """
        found = self.modules.get(gateway.module if module is None else module)
        if found is None:
            known = some_of(self.modules)
            raise UnknownModuleError(f"no such module is configured; the configured ones are: {known}")
        if gateway.retry_interval is None and gateway.retry_timeout is None:
            return found
        interval, timeout = gateway.retry_interval, gateway.retry_timeout
        own = replace(
            found,
            retry_interval=found.retry_interval if interval is None else interval,
            retry_timeout=found.retry_timeout if timeout is None else timeout,
        )
        return with_default_timeout(own)

    def as_yaml(self) -> str:
        """Return the configuration in force as YAML, secrets as ``<secret>``."""
        gateways = {name: _show_gateway(gateway) for name, gateway in self.gateways.items()}
        shown: dict[str, object] = {
            "web": show(self.web),
            "modules": {name: show(module) for name, module in self.modules.items()},
            "gateways": gateways,
        }
        if self.tariffs:
            shown["tariffs"] = {name: show(tariff) for name, tariff in self.tariffs.items()}
        if self.state_directory is not None:
            shown["state_directory"] = str(self.state_directory)
        if self.device is not None and self.path is not None:
            shown["device"] = gateways.pop(self.device)
        dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
        text: str = yaml.dump(shown, Dumper=dumper, sort_keys=False, allow_unicode=True)
        return text


def with_default_timeout(module: Module) -> Module:
    """Return the module with time for its retries, unless its ``timeout`` was written."""
    if not module.timeout_is_default:
        return module
    return replace(module, timeout=max(Module().timeout, module.retry_timeout + TIME_BEYOND_RETRIES))


def _show_gateway(gateway: GatewayConfig) -> dict[str, object]:
    shown = show(gateway)
    # The gateway does not treat it as a secret, but it is somebody's address.
    shown["login_email"] = DEFAULT_EMAIL if gateway.login_email == DEFAULT_EMAIL else MASK
    if gateway.login_password is not None:
        shown["login_password"] = MASK
    if gateway.tls_cert_file is not None:
        shown["tls_cert_file"] = str(gateway.tls_cert_file)
    elif gateway.pin is not None:
        shown["tls_fingerprint"] = "sha256:" + gateway.pin.sha256.hex()
    if gateway.tedapi is not None:
        shown["tedapi"] = gateway.tedapi.shown()
    return shown
