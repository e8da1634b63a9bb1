"""The solar inverter inside a Powerwall+: its output, its strings, its alerts. W, V, A, Hz, var."""

from __future__ import annotations

from dataclasses import dataclass

from probe_exporter.readings.currents import measured_current
from probe_exporter.readings.payload import Payload

INVERTER_STATES = ("PVAC_Active", "PVAC_Standby", "PVAC_Init", "PVAC_Faulted", "PVAC_State_SNA")
GRID_STATES = ("Grid_Compliant", "Grid_Qualifying", "Grid_Uncompliant")
CONNECTION_STATES = ("INV_Grid_Connected", "INV_Faulted")
SWITCH_STATES = (
    "PVS_GridSupporting",
    "PVS_Active",
    "PVS_ActiveToIdleNotice",
    "PVS_Standby",
    "PVS_Idle",
    "PVS_Init",
    "PVS_Off",
    "PVS_Fault",
    "PVS_SelfTesting",
    "PVS_SelfTestMci",
    "PVS_State_SNA",
)
SELF_TEST_STATES = ("PVS_SelfTestOff", "PVS_SelfTestMci")
SETPOINT_STATES = ("on",)
"""The words that the gateway's own page uses and that were met; a night has Standby, Idle and Off."""


@dataclass(frozen=True, slots=True)
class PvString:
    """A string of panels; ``name`` is the number on the inverter, from 1."""

    name: str
    connected: bool | None
    voltage: float | None
    current: float | None
    power: float | None


@dataclass(frozen=True, slots=True)
class SolarPowerwall:
    """The first solar inverter of the system: the gateway shows no other. Alerts are those active now.

    ``power_setpoint`` is "on" while it is to give power.
    """

    state: str | None
    grid_state: str | None
    connection_state: str | None
    disabled: bool | None
    disabled_reasons: tuple[str, ...]
    voltage: float | None
    frequency: float | None
    power: float | None
    reactive_power: float | None
    current: float | None
    strings: tuple[PvString, ...]
    switch_state: str | None
    switch_enabled: bool | None
    switch_disabled: bool | None
    line_voltage: float | None
    self_test_state: str | None
    power_limit: float | None
    power_setpoint: str | None
    inverter_alerts: tuple[str, ...] | None
    switch_alerts: tuple[str, ...] | None


def parse_solar_powerwall(payload: Payload, read_at: float) -> SolarPowerwall:
    """A gateway without such an inverter answers ``{}``."""
    inverter = payload.child("pvac_status")
    switch = payload.child("pvs_status")
    return SolarPowerwall(
        state=inverter.word("state", INVERTER_STATES),
        grid_state=inverter.word("grid_state", GRID_STATES),
        connection_state=inverter.word("inv_state", CONNECTION_STATES),
        disabled=inverter.flag("disabled"),
        disabled_reasons=inverter.texts("disabled_reasons"),
        voltage=inverter.number("v_out"),
        frequency=inverter.number("f_out"),
        power=inverter.number("p_out"),
        reactive_power=inverter.number("q_out"),
        current=measured_current(inverter, "i_out", inverter.number("p_out"), inverter.number("q_out")),
        strings=tuple(_string(element) for element in inverter.child("string_vitals").elements()),
        switch_state=switch.word("state", SWITCH_STATES),
        switch_enabled=switch.flag("enable_output"),
        switch_disabled=switch.flag("disabled"),
        line_voltage=switch.number("v_ll"),
        self_test_state=switch.word("self_test_state", SELF_TEST_STATES),
        power_limit=payload.number("pv_power_limit"),
        power_setpoint=payload.word("power_status_setpoint", SETPOINT_STATES),
        inverter_alerts=_alerts(payload.child("pvac_alerts")),
        switch_alerts=_alerts(payload.child("pvs_alerts")),
    )


def _string(payload: Payload) -> PvString:
    number = payload.number("string_id")
    return PvString(
        name="" if number is None else f"{number:.0f}"[:20],
        connected=payload.flag("connected"),
        voltage=payload.number("measured_voltage"),
        current=measured_current(payload, "current", payload.number("measured_power")),
        power=payload.number("measured_power"),
    )


def _alerts(payload: Payload) -> tuple[str, ...] | None:
    """The names that are true; the map also holds times and masks, which are left out. None if there is no map."""
    if not payload.is_object:
        return None
    return tuple(name for name, _ in payload.items() if payload.flag(name))
