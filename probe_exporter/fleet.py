"""The gateways that are configured now, each with its long-lived client and what is remembered of it.

A target is only looked up in a fleet: one that is not in it causes neither a name lookup nor a connection.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

from probe_exporter.clock import Clock, SystemClock
from probe_exporter.config import Config, GatewayConfig
from probe_exporter.errors import UnknownTargetError
from probe_exporter.files import Saver, remove_leftovers, write_now
from probe_exporter.gateway.client import Gateway
from probe_exporter.gateway.login_record import LoginRecord
from probe_exporter.gateway.schedule import Schedule
from probe_exporter.gateway.session import Session
from probe_exporter.gateway.state import LoginStore
from probe_exporter.metrics.guard import CounterGuard, HoldStore
from probe_exporter.probe import Memory, PastProbe, ProbeResult, Site
from probe_exporter.probe.tedapi import tedapi_side
from probe_exporter.telemetry import Telemetry

__all__ = ["Fleet", "PastProbe", "ProbeResult", "Site"]

log = logging.getLogger(__name__)

MOST_RECORDS: Final = 10_000
"""Login records that are remembered, by first address, of gateways that were removed as well."""

LAST_WRITES: Final = 5.0
"""Seconds at the end of the process for the files that are still to be written."""


class Fleet:
    """The sites by name and address. Swapped whole on reload: a reader sees the old fleet or the new one.

    ``one_off`` is for a program that probes each gateway once, and ends. ``saver`` writes the files of the state
    directory; without one the thread that has something to save waits for the disk.
    """

    def __init__(
        self,
        config: Config,
        telemetry: Telemetry,
        clock: Clock | None = None,
        *,
        one_off: bool = False,
        saver: Saver | None = None,
    ) -> None:
        self.telemetry = telemetry
        self._one_off = one_off
        self._saver = saver
        self._write = write_now if saver is None else saver.write
        self._clock = clock or SystemClock()
        self._config = config
        self._sites: Mapping[str, Site] = {}
        self._by_address: Mapping[str, Site] = {}
        self._records: dict[str, LoginRecord] = {}
        if config.state_directory is not None and not one_off:
            remove_leftovers(config.state_directory)
        self.reload(config)

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self._config

    @property
    def sites(self) -> Mapping[str, Site]:
        """The sites by name, in the order of the configuration."""
        return self._sites

    def find(self, target: str) -> Site:
        """The site of a name or of an address as it was configured. Raises UnknownTargetError."""
        site = self._sites.get(target) or self._by_address.get(target)
        if site is None:
            raise UnknownTargetError("the target is not a configured gateway")
        return site

    def reload(self, config: Config) -> None:
        """Take over another configuration. Gateways that did not change keep their sessions and connections."""
        folder = config.state_directory
        store = LoginStore(folder, self._clock, self._write) if folder is not None else None
        old = self._sites
        sites = {
            name: self._site(config, gateway, old.get(name), store)
            for name, gateway in config.gateways.items()
        }
        self._config = config
        self._sites = sites
        self._by_address = {
            address.text: site for site in sites.values() for address in site.config.addresses
        }
        kept = {id(site.gateway) for site in sites.values()}
        self.telemetry.gateways.set(len(sites))
        self.telemetry.config_last_reload_successful.set(1)
        self.telemetry.config_last_reload_success_timestamp.set(self._clock.time())
        for site in old.values():
            if id(site.gateway) not in kept:
                _close(site)

    def close(self) -> None:
        """Close the idle connections of every gateway, and save what its counters' guard holds back."""
        for site in self._sites.values():
            _close(site)
            site.memory.guard.close()
        if self._saver is not None and not self._saver.close(LAST_WRITES):
            log.warning(
                "what was remembered of logins and counters could not be saved within %g s", LAST_WRITES
            )

    def _site(
        self, config: Config, gateway: GatewayConfig, old: Site | None, store: LoginStore | None
    ) -> Site:
        if old is not None and _identity(old.config) == _identity(gateway):
            return Site(gateway, config.module_for, old.gateway, old.memory)
        session = Session(gateway, self._clock, self._record(gateway), store)
        session.take_over()
        client = Gateway(gateway, self.telemetry, self._clock, session)
        guard = self._guard(config, gateway, old)
        tedapi = tedapi_side(gateway, guard, self._clock, session.headers, self.telemetry)
        memory = Memory(Schedule(gateway.name), guard=guard, tedapi=tedapi)
        return Site(gateway, config.module_for, client, memory)

    def _guard(self, config: Config, gateway: GatewayConfig, old: Site | None) -> CounterGuard:
        """Return the guard of the gateway's counters, which belongs to name and address, not to credentials."""
        if old is not None and old.config.addresses == gateway.addresses:
            return old.memory.guard
        store = None
        if config.state_directory is not None and not self._one_off:
            addresses = tuple(address.text for address in gateway.addresses)
            store = HoldStore(config.state_directory, self._clock, gateway.name, addresses, self._write)
        return CounterGuard(gateway.name, store, one_off=self._one_off)

    def _record(self, gateway: GatewayConfig) -> LoginRecord:
        """The logins at this gateway's first address; they are remembered whatever it is called."""
        address = gateway.addresses[0].text if gateway.addresses else gateway.name
        record = self._records.pop(address, None) or LoginRecord()
        self._records[address] = record  # the most recently configured are last
        while len(self._records) > MOST_RECORDS:
            del self._records[next(iter(self._records))]
        return record


def _close(site: Site) -> None:
    site.gateway.close()
    if site.memory.tedapi is not None:
        site.memory.tedapi.close()


def _identity(config: GatewayConfig) -> tuple[object, ...]:
    """The settings whose change makes a new gateway: its addresses and the credentials."""
    return (
        config.addresses, config.login_email, config.login_password,
        config.pin, config.tls_cert_file, config.pin_missing, config.tedapi,
    )  # fmt: skip
