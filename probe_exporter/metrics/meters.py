"""Metrics of the meters: power, energy, voltage and current by category, and meter by meter with its phases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from probe_exporter.metrics.catalogue import Family, Sample
from probe_exporter.metrics.source import OWNER_API, TEN_MINUTES, Source
from probe_exporter.readings import Readings
from probe_exporter.readings.meters import (
    METERS_STATES,
    Aggregates,
    Category,
    Measurements,
    MeterDevice,
    PhaseValues,
)

_SIGNS = "Site: + is from the grid; battery: + is discharging; load: + is use; solar: + is production."
_SOLAR_INVERTED = (
    "For a solar meter production is counted as imported, the other way round from powerwall_{}."
)
_METER = ("category", "type", "serial", "id")
_PHASES_ONLY = "; only the phases that the meter measures."
_LEFT_OUT = "Where the gateway leaves the number of such a phase out, it is 0."
_NO_CURRENT = "No sample for 0 A beside more than 100 VA, which is not a measurement."
_CURRENTS = (
    "Battery: on the DC side, + is charging. Load: power divided by the voltage, which a synchrometer gives times "
    "the square root of 3."
)
_LATER = "firmware 21 and later, Powerwall 3"

Kind = Literal["gauge", "counter"]


_SUMS = Source("meters/aggregates", lambda readings: readings.aggregates, hardware="all")
_STATUS = Source(
    "meters/status",
    lambda readings: readings.meters_status,
    TEN_MINUTES,
    "meters",
    f"{OWNER_API}; firmware 21 and later",
)


def _sum(
    name: str,
    documentation: str,
    value: Callable[[Category], float | None],
    kind: Kind = "gauge",
    hardware: str = "all",
) -> Family:
    """Yield a sample for each category."""

    def samples(aggregates: Aggregates) -> Iterator[Sample]:
        for category in aggregates.categories:
            number = value(category)
            if number is not None:
                yield (category.name,), number

    return _SUMS.samples(name, documentation, ("category",), samples, hardware, kind)


def _phase_communicated(aggregates: Aggregates) -> Iterator[Sample]:
    for category in aggregates.categories:
        for quantity, moment in category.phase_communicated:
            yield (category.name, quantity), moment


Meters = tuple[tuple[str, MeterDevice], ...]
"""Meters, each after its category."""


def _meters(readings: Readings) -> Meters | None:
    site, solar = readings.meters_site, readings.meters_solar
    if site is None and solar is None:
        return None
    return tuple(
        (category, device)
        for category, meters in (("site", site), ("solar", solar))
        if meters is not None
        for device in meters.devices
    )


_METERS = Source("meters/site", _meters, collector="meters", also=("meters_solar",))
"""``meters/site`` and ``meters/solar`` alike."""


def _labels(category: str, device: MeterDevice) -> tuple[str, str, str, str]:
    return category, device.type, device.serial, device.distinct_id


def _device(
    name: str,
    documentation: str,
    value: Callable[[MeterDevice], float | None],
    kind: Kind = "gauge",
    hardware: str | None = None,
) -> Family:
    """Yield a sample for each meter."""

    def samples(meters: Meters) -> Iterator[Sample]:
        for category, device in meters:
            number = value(device)
            if number is not None:
                yield _labels(category, device), float(number)

    return _METERS.samples(name, documentation, _METER, samples, hardware, kind, optional="id")


def _measured(
    name: str, documentation: str, value: Callable[[Measurements], float | None], kind: Kind = "gauge"
) -> Family:
    """Yield a sample for each meter, for a quantity that sums have as well."""
    return _device(name, documentation, lambda device: value(device.measured), kind)


def _phase(
    name: str,
    documentation: str,
    values: Callable[[MeterDevice], PhaseValues],
    kind: Kind = "gauge",
    hardware: str | None = None,
) -> Family:
    """Yield a sample for each phase that the meter measures."""

    def samples(meters: Meters) -> Iterator[Sample]:
        for category, device in meters:
            for phase, number in values(device):
                yield (*_labels(category, device), phase), number

    return _METERS.samples(name, documentation, (*_METER, "phase"), samples, hardware, kind, optional="id")


def _transformer(
    name: str, documentation: str, flags: Callable[[MeterDevice], tuple[bool | None, ...]]
) -> Family:
    """Yield a sample for each current transformer."""

    def samples(meters: Meters) -> Iterator[Sample]:
        for category, device in meters:
            for number, flag in enumerate(flags(device), start=1):
                if flag is not None:
                    yield (*_labels(category, device), str(number)), float(flag)

    return _METERS.samples(name, documentation, (*_METER, "ct"), samples, optional="id")


def _device_info(meters: Meters) -> Iterator[Sample]:
    for category, device in meters:
        identity = (device.location or "", device.short_id or "", device.id or "")
        if any(identity) or device.type or device.serial:
            yield (category, device.type, device.serial, *identity), 1.0


SUMS: tuple[Family, ...] = (
    _sum(
        "powerwall_instant_power_watts",
        f"Real power in W by category (meters/aggregates: instant_power). {_SIGNS}",
        lambda category: category.measured.power,
    ),
    _sum(
        "powerwall_instant_reactive_power_watts",
        "Reactive power by category, in var in spite of the name (meters/aggregates: instant_reactive_power), signed.",
        lambda category: category.measured.reactive_power,
    ),
    _sum(
        "powerwall_instant_apparent_power_watts",
        "Apparent power by category, in VA in spite of the name (meters/aggregates: instant_apparent_power).",
        lambda category: category.measured.apparent_power,
    ),
    _sum(
        "powerwall_frequency_hz",
        "Frequency in Hz by category (meters/aggregates: frequency); no sample where the meter does not measure it.",
        lambda category: category.measured.frequency,
    ),
    _sum(
        "powerwall_exported_joules_total",
        "Energy exported in J over the life of the meters (meters/aggregates: energy_exported). Site: to the grid; "
        "battery: discharged; solar: produced.",
        lambda category: category.measured.exported,
        "counter",
    ),
    _sum(
        "powerwall_imported_joules_total",
        "Energy imported in J over the life of the meters (meters/aggregates: energy_imported). Site: from the grid; "
        "battery: charged; load: used, reckoned from the others; solar: used at night.",
        lambda category: category.measured.imported,
        "counter",
    ),
    _sum(
        "powerwall_instant_average_volts",
        "Average voltage in V by category (meters/aggregates: instant_average_voltage). A synchrometer gives the "
        "mean of the phases times the square root of 3: for alerts take powerwall_dev_phase_volts.",
        lambda category: category.measured.average_voltage,
    ),
    _sum(
        "powerwall_instant_average_amps",
        "Average current in A by category (meters/aggregates: instant_average_current), in every recording the same "
        f"as the total. {_NO_CURRENT} {_CURRENTS}",
        lambda category: category.measured.average_current,
        hardware=_LATER,
    ),
    _sum(
        "powerwall_instant_total_amps",
        f"Total current in A by category (meters/aggregates: instant_total_current). {_NO_CURRENT} {_CURRENTS}",
        lambda category: category.measured.total_current,
    ),
    _sum(
        "powerwall_meter_last_communication_timestamp_seconds",
        "Time of the last answer of a category's meters, in Unix seconds (meters/aggregates: last_communication_time).",
        lambda category: category.measured.communicated,
    ),
    _SUMS.samples(
        "powerwall_meter_last_phase_communication_timestamp_seconds",
        "Last measurement of a quantity (voltage, power, energy) by phase, in Unix seconds (meters/aggregates: "
        "last_phase_*_communication_time); no sample where it never was.",
        ("category", "quantity"),
        _phase_communicated,
        hardware="firmware 20.49 and later, where meters measure by phase",
    ),
    _sum(
        "powerwall_meter_devices",
        "Number of meters that a category sums up (meters/aggregates: num_meters_aggregated); the load has none.",
        lambda category: category.devices,
        hardware=_LATER,
    ),
    _sum(
        "powerwall_meter_timeout_seconds",
        "After how many seconds the gateway gives up on a meter of the category (meters/aggregates: timeout).",
        lambda category: category.timeout,
        hardware="firmware 1.46 and later, Powerwall 3",
    ),
)

DEVICES: tuple[Family, ...] = (
    _measured(
        "powerwall_dev_instant_power_watts",
        "Real power in W by meter (meters/site, meters/solar: instant_power). Site: + is from the grid; solar: + is "
        "production.",
        lambda measured: measured.power,
    ),
    _measured(
        "powerwall_dev_instant_reactive_power_watts",
        "Reactive power by meter, in var in spite of the name (meters/site, meters/solar: instant_reactive_power).",
        lambda measured: measured.reactive_power,
    ),
    _measured(
        "powerwall_dev_instant_apparent_power_watts",
        "Apparent power by meter, in VA in spite of the name (meters/site, meters/solar: instant_apparent_power).",
        lambda measured: measured.apparent_power,
    ),
    _measured(
        "powerwall_dev_frequency_hz",
        "Frequency in Hz by meter (meters/site, meters/solar: frequency); no sample where it is not measured.",
        lambda measured: measured.frequency,
    ),
    _measured(
        "powerwall_dev_exported_joules_total",
        "Energy exported in J over the life of the meter (meters/site, meters/solar: energy_exported). "
        + _SOLAR_INVERTED.format("exported_joules_total"),
        lambda measured: measured.exported,
        "counter",
    ),
    _measured(
        "powerwall_dev_imported_joules_total",
        "Energy imported in J over the life of the meter (meters/site, meters/solar: energy_imported). "
        + _SOLAR_INVERTED.format("imported_joules_total"),
        lambda measured: measured.imported,
        "counter",
    ),
    _measured(
        "powerwall_dev_instant_average_volts",
        "Average voltage in V by meter (meters/site, meters/solar: instant_average_voltage). A synchrometer gives "
        "the mean of the phases times the square root of 3.",
        lambda measured: measured.average_voltage,
    ),
    _measured(
        "powerwall_dev_instant_average_amps",
        f"Average current in A by meter (meters/site, meters/solar: instant_average_current). {_NO_CURRENT}",
        lambda measured: measured.average_current,
    ),
    _measured(
        "powerwall_dev_instant_total_amps",
        f"Total current in A by meter (meters/site, meters/solar: instant_total_current). {_NO_CURRENT}",
        lambda measured: measured.total_current,
    ),
    _METERS.samples(
        "powerwall_dev_info",
        "Identity of a meter (meters/site, meters/solar: location, connection.short_id, id), always 1. The id is a "
        "label of the other powerwall_dev families only where several meters of a category share type and serial, as "
        "the current transformers of one Neurio do.",
        ("category", "type", "serial", "location", "short_id", "id"),
        _device_info,
    ),
    _device(
        "powerwall_dev_connected",
        "1 if the gateway is connected to the meter (meters/site, meters/solar: connection.neurio_connected), "
        "otherwise 0.",
        lambda device: device.connected,
        hardware="Neurio meters",
    ),
    _phase(
        "powerwall_dev_phase_volts",
        "Voltage to neutral in V by phase, l1 being a (meters/site, meters/solar: v_l1n to v_l3n)"
        f"{_PHASES_ONLY} One with nothing connected to it may still show a few volts.",
        lambda device: device.voltages,
    ),
    _phase(
        "powerwall_dev_phase_power_watts",
        f"Real power in W by phase (meters/site, meters/solar: real_power_a to _c){_PHASES_ONLY} {_LEFT_OUT}",
        lambda device: device.powers,
    ),
    _phase(
        "powerwall_dev_phase_reactive_power_vars",
        "Reactive power in var by phase (meters/site, meters/solar: reactive_power_a to _c)"
        f"{_PHASES_ONLY} {_LEFT_OUT}",
        lambda device: device.reactive_powers,
    ),
    _phase(
        "powerwall_dev_phase_current_amperes",
        f"Current in A by phase (meters/site, meters/solar: i_a_current to i_c_current){_PHASES_ONLY} {_NO_CURRENT}",
        lambda device: device.currents,
    ),
    _phase(
        "powerwall_dev_phase_exported_joules_total",
        "Energy exported in J by phase over the life of the meter (meters/site, meters/solar: energy_exported_a to "
        f"_c){_PHASES_ONLY} " + _SOLAR_INVERTED.format("exported_joules_total"),
        lambda device: device.exported,
        "counter",
        "Neurio meters, firmware 21 and later",
    ),
    _phase(
        "powerwall_dev_phase_imported_joules_total",
        "Energy imported in J by phase over the life of the meter (meters/site, meters/solar: energy_imported_a to "
        f"_c){_PHASES_ONLY} " + _SOLAR_INVERTED.format("imported_joules_total"),
        lambda device: device.imported,
        "counter",
        "Neurio meters, firmware 21 and later",
    ),
    _device(
        "powerwall_dev_last_communication_timestamp_seconds",
        "Time when the meter last answered, in Unix seconds (meters/site, meters/solar: last_communication_time).",
        lambda device: device.measured.communicated,
    ),
    _transformer(
        "powerwall_dev_ct_enabled",
        "1 if a current transformer is in use (meters/site, meters/solar: cts), otherwise 0.",
        lambda device: device.enabled,
    ),
    _transformer(
        "powerwall_dev_ct_inverted",
        "1 if the sign of a current transformer is inverted (meters/site, meters/solar: inverted), otherwise 0.",
        lambda device: device.inverted,
    ),
    _device(
        "powerwall_dev_real_power_scale_ratio",
        "Factor on the real power of a meter, 2 where one current transformer measures half a split-phase inverter "
        "(meters/site, meters/solar: real_power_scale_factor).",
        lambda device: device.power_scale,
        hardware="meters with such a factor",
    ),
)

STATUS: tuple[Family, ...] = (
    _STATUS.states(
        "powerwall_meters_status",
        "State set of the meters (meters/status: status): ok where the gateway has no complaint.",
        lambda status: status.state,
        METERS_STATES,
    ),
    _STATUS.value(
        "powerwall_meters_errors",
        "Number of errors of the meters in the gateway's list (meters/status: errors); no sample without a list.",
        lambda status: status.errors,
    ),
)

FAMILIES: tuple[Family, ...] = SUMS + DEVICES + STATUS
