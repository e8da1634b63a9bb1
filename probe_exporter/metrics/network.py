"""Metrics of the gateway's network interfaces. A name may be the owner's SSID: ``network_names: false`` hides it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from probe_exporter.metrics.catalogue import Family, Sample, state_set
from probe_exporter.metrics.source import TEN_MINUTES, Source
from probe_exporter.readings.network import NETWORK_STATES, Network, Networks

_NETWORKS = Source("networks", lambda readings: readings.networks, TEN_MINUTES, "network")


def _each(name: str, documentation: str, value: Callable[[Network], float | None]) -> Family:
    """A family with one sample for each interface."""

    def samples(networks: Networks) -> Iterable[Sample]:
        for network in networks.networks:
            number = value(network)
            if number is not None:
                yield (network.type, network.name), float(number)

    return _NETWORKS.samples(name, documentation, ("type", "name"), samples)


def _state(networks: Networks) -> Iterable[Sample]:
    for network in networks.networks:
        if network.state is not None:
            yield (network.type, network.name, network.state, network.state_reason), 1.0


def _status(networks: Networks) -> Iterable[Sample]:
    for network in networks.networks:
        yield from state_set(network.state, NETWORK_STATES, network.type, network.name)


FAMILIES: tuple[Family, ...] = (
    _each(
        "powerwall_network_enabled",
        "1 if the interface is enabled (networks: enabled), otherwise 0.",
        lambda network: network.enabled,
    ),
    _each(
        "powerwall_network_active",
        "1 if the interface is active (networks: active), otherwise 0.",
        lambda network: network.active,
    ),
    _each(
        "powerwall_network_primary",
        "1 if this is the interface that the gateway prefers (networks: primary), otherwise 0.",
        lambda network: network.primary,
    ),
    _NETWORKS.samples(
        "powerwall_network_state",
        "State of the interface and its reason (networks: iface_network_info.state, state_reason), one sample of 1; "
        "absent for an inactive interface.",
        ("type", "name", "state", "reason"),
        _state,
    ),
    _each(
        "powerwall_network_signal_strength",
        "Strength of the signal in percent, 0 to 100 (networks: iface_network_info.signal_strength); absent where it "
        "is 0, as for Ethernet.",
        lambda network: network.signal,
    ),
    _NETWORKS.samples(
        "powerwall_network_status",
        "State set of the interface (networks: iface_network_info.state).",
        ("type", "name", "state"),
        _status,
    ),
    _each(
        "powerwall_network_signal_ratio",
        "Strength of the signal, a ratio between 0 and 1 (networks: iface_network_info.signal_strength); absent where "
        "it is 0, as for Ethernet.",
        lambda network: None if network.signal is None else network.signal / 100.0,
    ),
    _each(
        "powerwall_network_tesla_connected",
        "1 if this interface reached Tesla at its last try (networks: lastTeslaConnected), otherwise 0.",
        lambda network: network.tesla_connected,
    ),
    _each(
        "powerwall_network_internet_connected",
        "1 if this interface reached the internet at its last try (networks: lastInternetConnected), otherwise 0.",
        lambda network: network.internet_connected,
    ),
)
