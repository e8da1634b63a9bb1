"""The gateway's network interfaces. Signal strengths are in percent, as the gateway gives them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from probe_exporter.readings.payload import Payload

NETWORK_STATES = ("DeviceStateReady",)


@dataclass(frozen=True, slots=True)
class Network:
    """An interface. ``state`` and ``signal`` (0 to 100) are None while it is inactive.

    ``name`` may be the owner's SSID; ``stand_in`` is shown where the name must not be.
    """

    type: str
    name: str
    stand_in: str
    enabled: bool | None
    active: bool | None
    primary: bool | None
    tesla_connected: bool | None
    internet_connected: bool | None
    state: str | None
    state_reason: str
    signal: float | None


@dataclass(frozen=True, slots=True)
class Networks:
    """All interfaces, in the gateway's order."""

    networks: tuple[Network, ...]


def parse_networks(payload: Payload, read_at: float) -> Networks:
    """Firmware 1.x has ``name`` and ``connected``, and neither types nor states nor signals."""
    return Networks(tuple(_network(element) for element in payload.elements() if element.is_object))


def _network(payload: Payload) -> Network:
    kind = payload.text("interface") or ""
    name = payload.text("network_name")
    if name is None:
        # The operating system's own name, such as wifi0: no secret, and the only one there is.
        name = stand_in = payload.text("name") or ""
        active = payload.flag("connected")
    else:
        stand_in = kind
        active = payload.flag("active")
    info = payload.child("iface_network_info")
    return Network(
        type=kind,
        name=name,
        stand_in=stand_in,
        enabled=payload.flag("enabled"),
        active=active,
        primary=payload.flag("primary"),
        tesla_connected=payload.flag("lastTeslaConnected"),
        internet_connected=payload.flag("lastInternetConnected"),
        state=info.word("state", NETWORK_STATES),
        state_reason=info.text("state_reason") or "",
        signal=info.number("signal_strength") or None,
    )


def without_names(networks: Networks) -> Networks:
    """The same with the interface type in place of each name that may be the owner's SSID."""
    return Networks(tuple(replace(network, name=network.stand_in) for network in networks.networks))
