"""Metrics of the solar inverter inside a Powerwall+: output, strings, alerts. Up to 60 s old."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from probe_exporter.metrics.catalogue import Family, Sample, state_set
from probe_exporter.readings import Readings
from probe_exporter.readings.solar import (
    CONNECTION_STATES,
    GRID_STATES,
    INVERTER_STATES,
    SWITCH_STATES,
    PvString,
    SolarPowerwall,
)

_MINUTE = " Up to 60 s old."
_HARDWARE = "Powerwall+; firmware 23 and later"
_INVERTER = "1"
"""The value of the label ``inverter``: the gateway shows the first inverter only."""

_STRING_LABELS = ("inverter", "string")


def _family(
    name: str,
    documentation: str,
    read: Callable[[SolarPowerwall], Iterable[Sample]],
    labels: tuple[str, ...] = ("inverter",),
) -> Family:
    def read_solar(readings: Readings) -> Iterable[Sample]:
        return () if readings.solar_powerwall is None else read(readings.solar_powerwall)

    text = f"/api/solar_powerwall {documentation}{_MINUTE}"
    return Family(name, "gauge", text, "solar_powerwall", read_solar, labels, "solar", _HARDWARE)


def _inverter(name: str, documentation: str, value: Callable[[SolarPowerwall], float | None]) -> Family:
    """A family with one sample an inverter."""

    def read(solar: SolarPowerwall) -> Iterable[Sample]:
        number = value(solar)
        return () if number is None else (((_INVERTER,), float(number)),)

    return _family(name, documentation, read)


def _states(
    name: str, documentation: str, word: Callable[[SolarPowerwall], str | None], known: tuple[str, ...]
) -> Family:
    """A state set of an inverter."""
    text = f"{documentation} as a state set: the state that is 1 holds, other for a new word."
    return _family(name, text, lambda solar: state_set(word(solar), known, _INVERTER), ("inverter", "state"))


def _string(name: str, documentation: str, value: Callable[[PvString], float | None]) -> Family:
    """A family with one sample a string of panels."""

    def read(solar: SolarPowerwall) -> Iterable[Sample]:
        for string in solar.strings:
            number = value(string)
            if number is not None:
                yield (_INVERTER, string.name), float(number)

    return _family(name, documentation, read, _STRING_LABELS)


def _disabled_reasons(solar: SolarPowerwall) -> Iterable[Sample]:
    return (((_INVERTER, reason), 1.0) for reason in dict.fromkeys(solar.disabled_reasons))


def _sources(solar: SolarPowerwall) -> Iterable[tuple[str, tuple[str, ...] | None]]:
    return ("pvac", solar.inverter_alerts), ("pvs", solar.switch_alerts)


def _active_alerts(solar: SolarPowerwall) -> Iterable[Sample]:
    for source, alerts in _sources(solar):
        for alert in alerts or ():
            yield (source, _INVERTER, alert), 1.0


def _alert_counts(solar: SolarPowerwall) -> Iterable[Sample]:
    for source, alerts in _sources(solar):
        if alerts is not None:
            yield (source,), float(len(alerts))


FAMILIES: tuple[Family, ...] = (
    _string(
        "powerwall_pv_string_connected",
        "pvac_status.string_vitals[].connected: 1 where the string is connected.",
        lambda string: string.connected,
    ),
    _string(
        "powerwall_pv_string_volts",
        "pvac_status.string_vitals[].measured_voltage: volts of the string.",
        lambda string: string.voltage,
    ),
    _string(
        "powerwall_pv_string_amperes",
        "pvac_status.string_vitals[].current: amperes of the string.",
        lambda string: string.current,
    ),
    _string(
        "powerwall_pv_string_power_watts",
        "pvac_status.string_vitals[].measured_power: watts of the string.",
        lambda string: string.power,
    ),
    _inverter(
        "powerwall_pv_inverter_output_power_watts",
        "pvac_status.p_out: output in watts, + is production.",
        lambda solar: solar.power,
    ),
    _inverter(
        "powerwall_pv_inverter_output_volts",
        "pvac_status.v_out: output voltage.",
        lambda solar: solar.voltage,
    ),
    _inverter(
        "powerwall_pv_inverter_output_amperes",
        "pvac_status.i_out: output current.",
        lambda solar: solar.current,
    ),
    _inverter(
        "powerwall_pv_inverter_output_hertz",
        "pvac_status.f_out: output frequency.",
        lambda solar: solar.frequency,
    ),
    _inverter(
        "powerwall_pv_inverter_output_reactive_power_vars",
        "pvac_status.q_out: output of reactive power in var.",
        lambda solar: solar.reactive_power,
    ),
    _states("powerwall_pv_inverter_state", "pvac_status.state", lambda solar: solar.state, INVERTER_STATES),
    _states(
        "powerwall_pv_inverter_grid_state",
        "pvac_status.grid_state",
        lambda solar: solar.grid_state,
        GRID_STATES,
    ),
    _states(
        "powerwall_pv_inverter_inverter_state",
        "pvac_status.inv_state",
        lambda solar: solar.connection_state,
        CONNECTION_STATES,
    ),
    _inverter(
        "powerwall_pv_inverter_disabled",
        "pvac_status.disabled: 1 where the inverter is disabled.",
        lambda solar: solar.disabled,
    ),
    _family(
        "powerwall_pv_inverter_disabled_reason",
        "pvac_status.disabled_reasons[]: always 1, one series a reason.",
        _disabled_reasons,
        ("inverter", "reason"),
    ),
    _states("powerwall_pvs_state", "pvs_status.state", lambda solar: solar.switch_state, SWITCH_STATES),
    _inverter(
        "powerwall_pvs_output_enabled",
        "pvs_status.enable_output: 1 where the string switch lets power through.",
        lambda solar: solar.switch_enabled,
    ),
    _inverter(
        "powerwall_pvs_line_volts", "pvs_status.v_ll: line-to-line volts.", lambda solar: solar.line_voltage
    ),
    _family(
        "powerwall_alert_active",
        "pvac_alerts and pvs_alerts: 1 for each alert that is active; device is the inverter.",
        _active_alerts,
        ("source", "device", "alert"),
    ),
    _family(
        "powerwall_alerts",
        "pvac_alerts and pvs_alerts: how many alerts of each source are active.",
        _alert_counts,
        ("source",),
    ),
)
