"""Metrics of the solar inverter inside a Powerwall+: output, strings, alerts. Up to 60 s old."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from probe_exporter.metrics.catalogue import Family, Sample, state_set
from probe_exporter.metrics.source import MINUTE, Source
from probe_exporter.readings.solar import (
    CONNECTION_STATES,
    GRID_STATES,
    INVERTER_STATES,
    SELF_TEST_STATES,
    SETPOINT_STATES,
    SWITCH_STATES,
    PvString,
    SolarPowerwall,
)

_SOLAR = Source(
    "solar_powerwall",
    lambda readings: readings.solar_powerwall,
    MINUTE,
    "solar",
    "Powerwall+; firmware 23 and later",
)
_INVERTER = "1"
"""The value of the label ``inverter``: the gateway shows the first inverter only."""

_STRING_LABELS = ("inverter", "string")


def _inverter(name: str, documentation: str, value: Callable[[SolarPowerwall], float | None]) -> Family:
    """A family with one sample for each inverter."""

    def read(solar: SolarPowerwall) -> Iterable[Sample]:
        number = value(solar)
        return () if number is None else (((_INVERTER,), float(number)),)

    return _SOLAR.samples(name, documentation, ("inverter",), read)


def _states(
    name: str, documentation: str, word: Callable[[SolarPowerwall], str | None], known: tuple[str, ...]
) -> Family:
    """A state set of an inverter."""
    return _SOLAR.samples(
        name, documentation, ("inverter", "state"), lambda solar: state_set(word(solar), known, _INVERTER)
    )


def _string(name: str, documentation: str, value: Callable[[PvString], float | None]) -> Family:
    """A family with one sample for each string of panels."""

    def read(solar: SolarPowerwall) -> Iterable[Sample]:
        for string in solar.strings:
            number = value(string)
            if number is not None:
                yield (_INVERTER, string.name), float(number)

    return _SOLAR.samples(name, documentation, _STRING_LABELS, read)


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
        "1 if the string is connected (solar_powerwall: pvac_status.string_vitals[].connected), otherwise 0.",
        lambda string: string.connected,
    ),
    _string(
        "powerwall_pv_string_volts",
        "Voltage of the string in V (solar_powerwall: pvac_status.string_vitals[].measured_voltage).",
        lambda string: string.voltage,
    ),
    _string(
        "powerwall_pv_string_amperes",
        "Current of the string in A (solar_powerwall: pvac_status.string_vitals[].current); no sample for 0 A beside "
        "more than 100 W.",
        lambda string: string.current,
    ),
    _string(
        "powerwall_pv_string_power_watts",
        "Power of the string in W (solar_powerwall: pvac_status.string_vitals[].measured_power).",
        lambda string: string.power,
    ),
    _inverter(
        "powerwall_pv_inverter_output_power_watts",
        "Power of the solar inverter in W, AC, + is production (solar_powerwall: pvac_status.p_out).",
        lambda solar: solar.power,
    ),
    _inverter(
        "powerwall_pv_inverter_output_volts",
        "Voltage of the solar inverter in V, AC (solar_powerwall: pvac_status.v_out).",
        lambda solar: solar.voltage,
    ),
    _inverter(
        "powerwall_pv_inverter_output_amperes",
        "Current of the solar inverter in A, AC (solar_powerwall: pvac_status.i_out); no sample for 0 A beside more "
        "than 100 VA.",
        lambda solar: solar.current,
    ),
    _inverter(
        "powerwall_pv_inverter_output_hertz",
        "Frequency of the solar inverter in Hz (solar_powerwall: pvac_status.f_out).",
        lambda solar: solar.frequency,
    ),
    _inverter(
        "powerwall_pv_inverter_output_reactive_power_vars",
        "Reactive power of the solar inverter in var (solar_powerwall: pvac_status.q_out).",
        lambda solar: solar.reactive_power,
    ),
    _states(
        "powerwall_pv_inverter_state",
        "State set of the solar inverter (solar_powerwall: pvac_status.state).",
        lambda solar: solar.state,
        INVERTER_STATES,
    ),
    _states(
        "powerwall_pv_inverter_grid_state",
        "State set of how the solar inverter finds the grid (solar_powerwall: pvac_status.grid_state).",
        lambda solar: solar.grid_state,
        GRID_STATES,
    ),
    _states(
        "powerwall_pv_inverter_inverter_state",
        "State set of the solar inverter's connection (solar_powerwall: pvac_status.inv_state).",
        lambda solar: solar.connection_state,
        CONNECTION_STATES,
    ),
    _inverter(
        "powerwall_pv_inverter_disabled",
        "1 if the solar inverter is disabled (solar_powerwall: pvac_status.disabled), otherwise 0.",
        lambda solar: solar.disabled,
    ),
    _SOLAR.samples(
        "powerwall_pv_inverter_disabled_reason",
        "Why the solar inverter is disabled (solar_powerwall: pvac_status.disabled_reasons), always 1; a sample for "
        "each reason.",
        ("inverter", "reason"),
        _disabled_reasons,
    ),
    _states(
        "powerwall_pvs_state",
        "State set of the string switch (solar_powerwall: pvs_status.state).",
        lambda solar: solar.switch_state,
        SWITCH_STATES,
    ),
    _states(
        "powerwall_pvs_self_test_state",
        "State set of the string switch's self test (solar_powerwall: pvs_status.self_test_state).",
        lambda solar: solar.self_test_state,
        SELF_TEST_STATES,
    ),
    _inverter(
        "powerwall_pvs_disabled",
        "1 if the string switch is disabled (solar_powerwall: pvs_status.disabled), otherwise 0.",
        lambda solar: solar.switch_disabled,
    ),
    _inverter(
        "powerwall_pvs_output_enabled",
        "1 if the string switch lets power through (solar_powerwall: pvs_status.enable_output), otherwise 0.",
        lambda solar: solar.switch_enabled,
    ),
    _inverter(
        "powerwall_pvs_line_volts",
        "Voltage from line to line in V (solar_powerwall: pvs_status.v_ll).",
        lambda solar: solar.line_voltage,
    ),
    _inverter(
        "powerwall_pv_power_limit_watts",
        "Power that the solar inverter may give in W (solar_powerwall: pv_power_limit).",
        lambda solar: solar.power_limit,
    ),
    _states(
        "powerwall_pv_power_setpoint",
        "State set of what the solar inverter is told (solar_powerwall: power_status_setpoint); on is to give power.",
        lambda solar: solar.power_setpoint,
        SETPOINT_STATES,
    ),
    _SOLAR.samples(
        "powerwall_alert_active",
        "An alert that is active (solar_powerwall: pvac_alerts, pvs_alerts), always 1; device is the inverter.",
        ("source", "device", "alert"),
        _active_alerts,
    ),
    _SOLAR.samples(
        "powerwall_alerts",
        "Number of active alerts of each source (solar_powerwall: pvac_alerts, pvs_alerts).",
        ("source",),
        _alert_counts,
    ),
)
