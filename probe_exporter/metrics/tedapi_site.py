"""Metrics of the site by TEDAPI: contactor, alerts, meters by phase, configuration, firmware."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from probe_exporter.metrics.catalogue import Family, Sample, state_set
from probe_exporter.metrics.tedapi import CONFIG, CONTROLLER, SYSTEM, Twin
from probe_exporter.readings import Readings
from probe_exporter.readings.site import NET_METER_MODES
from probe_exporter.readings.status import OPERATION_MODES, UPDATE_STATES
from probe_exporter.readings.tedapi_components import DeviceAlert
from probe_exporter.readings.tedapi_config import ConfiguredMeter, SiteConfig
from probe_exporter.readings.tedapi_controller import (
    CONTACTOR_GRID_STATES,
    ISLAND_MODES,
    ContactorLine,
    Controller,
    PhaseReading,
)
from probe_exporter.readings.tedapi_system import SystemInfo


def _line(name: str, documentation: str, value: Callable[[ContactorLine], float | None]) -> Family:
    """Yield a sample for each phase that is connected."""

    def samples(controller: Controller) -> Iterator[Sample]:
        for line in controller.lines:
            number = value(line)
            if number is not None:
                yield (line.phase,), number

    return CONTROLLER.samples(name, documentation, ("phase",), samples)


def _shut_down_reasons(controller: Controller) -> Iterable[Sample]:
    return (((reason,), 1.0) for reason in dict.fromkeys(controller.shut_down_reasons))


def _uptimes(controller: Controller) -> Iterable[Sample]:
    return (((serial,), seconds) for serial, seconds in controller.uptimes)


FAMILIES: tuple[Family, ...] = (
    CONTROLLER.value(
        "powerwall_contactor_closed",
        "1 if the contactor to the grid is closed (tedapi/controller: control.islanding.contactorClosed), otherwise 0.",
        lambda controller: controller.contactor_closed,
    ),
    CONTROLLER.states(
        "powerwall_contactor_grid_state",
        "State set of how the contactor's controller finds the grid (tedapi/controller: ISLAND_GridState).",
        lambda controller: controller.contactor_grid_state,
        CONTACTOR_GRID_STATES,
    ),
    _line(
        "powerwall_contactor_grid_volts",
        "Voltage on the grid's side of the contactor in V (tedapi/controller: ISLAND_VL1N_Main to L3N); 0 in outages.",
        lambda line: line.grid_voltage,
    ),
    _line(
        "powerwall_contactor_grid_hertz",
        "Frequency on the grid's side of the contactor in Hz (tedapi/controller: ISLAND_FreqL1_Main to L3); none in an "
        "outage.",
        lambda line: line.grid_frequency,
    ),
    _line(
        "powerwall_contactor_home_volts",
        "Voltage on the home's side of the contactor in V (tedapi/controller: ISLAND_VL1N_Load to L3N).",
        lambda line: line.home_voltage,
    ),
    _line(
        "powerwall_contactor_home_hertz",
        "Frequency on the home's side of the contactor in Hz (tedapi/controller: ISLAND_FreqL1_Load to L3).",
        lambda line: line.home_frequency,
    ),
    CONTROLLER.states(
        "powerwall_customer_island_mode",
        "State set of what the owner wants in an outage (tedapi/controller: control.islanding.customerIslandMode): a "
        "wish, and not what is.",
        lambda controller: controller.island_mode,
        ISLAND_MODES,
    ),
    CONTROLLER.value(
        "powerwall_island_grid_ok",
        "1 if the gateway rates the grid as good (tedapi/controller: control.islanding.gridOK), otherwise 0.",
        lambda controller: controller.grid_ok,
    ),
    CONTROLLER.value(
        "powerwall_island_microgrid_ok",
        "1 if the gateway rates the home's own supply as good (tedapi/controller: control.islanding.microGridOK), "
        "otherwise 0.",
        lambda controller: controller.microgrid_ok,
    ),
    CONTROLLER.value(
        "powerwall_site_shutdown",
        "1 if the site is shut down (tedapi/controller: control.siteShutdown.isShutDown), otherwise 0.",
        lambda controller: controller.shut_down,
    ),
    CONTROLLER.samples(
        "powerwall_site_shutdown_reason",
        "Why the site is shut down (tedapi/controller: control.siteShutdown.reasons), always 1; a sample for each "
        "reason.",
        ("reason",),
        _shut_down_reasons,
    ),
    CONTROLLER.value(
        "powerwall_gateway_clock_offset_seconds",
        "The gateway's time less this machine's, in s (tedapi/controller: system.time, which has whole seconds, and "
        "the middle of the request that told it). Signed requests live 12 s.",
        lambda controller: controller.clock_offset,
    ),
    CONTROLLER.samples(
        "powerwall_meter_board_uptime_seconds",
        "Seconds since the board with the gateway's own meters started (tedapi/controller: SYNC_Uptime).",
        ("serial",),
        _uptimes,
    ),
    CONFIG.states(
        "powerwall_site_export_rule",
        "State set of what may be exported to the grid (tedapi/config: site_info.customer_preferred_export_rule).",
        lambda config: config.export_rule,
        NET_METER_MODES,
    ),
    CONFIG.value(
        "powerwall_site_grid_charging_allowed",
        "1 if the battery may charge from the grid (tedapi/config: "
        "site_info.disallow_charge_from_grid_with_solar_installed is absent or false), otherwise 0.",
        lambda config: config.grid_charging_allowed,
    ),
    CONFIG.value(
        "powerwall_site_solar_curtailment_enabled",
        "1 if solar power may be curtailed on grid (tedapi/config: site_info.on_grid_solar_curtailment_enabled), "
        "otherwise 0.",
        lambda config: config.solar_curtailment,
    ),
    CONFIG.value(
        "powerwall_wall_connectors",
        "Number of configured Wall Connectors (tedapi/config: evses).",
        lambda config: config.wall_connectors,
    ),
    SYSTEM.value(
        "powerwall_update_size_bytes",
        "Size of the update that is being loaded, in bytes (tedapi/system: total_bytes); no sample without one.",
        lambda system: system.size,
    ),
    SYSTEM.value(
        "powerwall_update_downloaded_bytes",
        "Downloaded part of the update, in bytes (tedapi/system: bytes_offset).",
        lambda system: system.downloaded,
    ),
)


# The twins of families that are declared elsewhere


def _config_twin(name: str, origin: str, value: Callable[[SiteConfig], float | None]) -> Twin:
    def read(readings: Readings) -> Iterator[Sample]:
        number = None if readings.tedapi_config is None else value(readings.tedapi_config)
        if number is not None:
            yield (), float(number)

    return Twin(name, CONFIG.endpoint, origin, read)


def _system_twin(name: str, origin: str, samples: Callable[[SystemInfo], Iterable[Sample]]) -> Twin:
    def read(readings: Readings) -> Iterable[Sample]:
        return () if readings.tedapi_system is None else samples(readings.tedapi_system)

    return Twin(name, SYSTEM.endpoint, origin, read)


def _mode(readings: Readings) -> Iterator[Sample]:
    if readings.tedapi_config is not None and readings.tedapi_config.mode:
        yield (readings.tedapi_config.mode,), 1.0


def _mode_states(readings: Readings) -> Iterator[Sample]:
    if readings.tedapi_config is not None:
        yield from state_set(readings.tedapi_config.mode, OPERATION_MODES)


def _net_meter_mode(readings: Readings) -> Iterator[Sample]:
    if readings.tedapi_config is not None:
        yield from state_set(readings.tedapi_config.net_meter_mode, NET_METER_MODES)


def _site_info(readings: Readings) -> Iterator[Sample]:
    config = readings.tedapi_config
    if config is not None:
        labels = (config.site_name, config.timezone, *(config.grid or ("",) * 7), "")
        if any(labels):
            yield labels, 1.0


def _firmware(system: SystemInfo) -> Iterator[Sample]:
    if system.version or system.git_hash:
        yield (system.version or "", system.git_hash or ""), 1.0


def _gateway(system: SystemInfo) -> Iterator[Sample]:
    part_number, _, serial = (system.din or "").partition("--")
    if serial:
        yield (system.din or "", part_number, serial, "", "", "", ""), 1.0


def _version_parts(system: SystemInfo) -> Iterator[Sample]:
    for part, number in zip(("major", "minor", "patch"), system.version_parts, strict=False):
        yield (part,), number


def _running(readings: Readings) -> Iterator[Sample]:
    if readings.tedapi_controller is not None and readings.tedapi_controller.running is not None:
        yield (), float(readings.tedapi_controller.running)


def _flows(readings: Readings) -> Iterator[Sample]:
    if readings.tedapi_controller is not None:
        for category, watts in readings.tedapi_controller.flows:
            yield (category,), watts


def _all_alerts(readings: Readings) -> Iterator[DeviceAlert]:
    """The alerts of the gateway, of boards and of components; a built-in pack goes by the serial of its Powerwall."""
    known = {pack.board.serial: pack.serial for pack in readings.packs if pack.board.serial}
    found = readings.tedapi_controller.alerts if readings.tedapi_controller is not None else None
    for alert in (*(found or ()), *(alert for unit in readings.units for alert in unit.alerts)):
        yield DeviceAlert(alert.source, known.get(alert.device, alert.device), alert.name)


def _alerts(readings: Readings) -> Iterator[Sample]:
    for alert in _all_alerts(readings):
        yield (alert.source, alert.device, alert.name), 1.0


def _alert_counts(readings: Readings) -> Iterator[Sample]:
    counts = Counter(alert.source for alert in _all_alerts(readings))
    if readings.tedapi_controller is not None and readings.tedapi_controller.alerts is not None:
        counts.setdefault("gateway", 0)
    if readings.units:
        for source in ("pch", "pws", "baggr", "hvp"):
            counts.setdefault(source, 0)
    for source, count in counts.items():
        yield (source,), float(count)


def _meters(readings: Readings) -> tuple[ConfiguredMeter, ...]:
    return () if readings.tedapi_config is None else readings.tedapi_config.meters


def _phases(readings: Readings, value: Callable[[PhaseReading], float | None]) -> Iterator[Sample]:
    """A value of each phase that has a current transformer."""
    measured = dict(readings.tedapi_controller.meters) if readings.tedapi_controller is not None else {}
    for meter in _meters(readings):
        for place, phase in enumerate(measured.get(meter.type, ())):
            number = value(phase)
            if number is not None and meter.transformers[place : place + 1] == (True,):
                yield (meter.category, meter.type, meter.serial, "", phase.phase), number


def _phase_twin(name: str, origin: str, value: Callable[[PhaseReading], float | None]) -> Twin:
    return Twin(name, CONTROLLER.endpoint, origin, lambda readings: _phases(readings, value))


def _transformer_twin(
    name: str, origin: str, flags: Callable[[ConfiguredMeter], tuple[bool | None, ...]]
) -> Twin:
    def read(readings: Readings) -> Iterator[Sample]:
        for meter in _meters(readings):
            for place, flag in enumerate(flags(meter)):
                if flag is not None:
                    yield (meter.category, meter.type, meter.serial, "", str(place + 1)), float(flag)

    return Twin(name, CONFIG.endpoint, origin, read)


def _scales(readings: Readings) -> Iterator[Sample]:
    for meter in _meters(readings):
        if meter.scale is not None:
            yield (meter.category, meter.type, meter.serial, ""), meter.scale


def _one(value: float | None) -> Iterable[Sample]:
    return () if value is None else (((), value),)


TWINS: tuple[Twin, ...] = (
    _config_twin(
        "powerwall_reserve_ratio", "site_info.backup_reserve_percent", lambda config: config.reserve
    ),
    _config_twin(
        "powerwall_reserve_app_ratio", "site_info.backup_reserve_percent", lambda config: config.app_reserve
    ),
    Twin("powerwall_operation_mode", CONFIG.endpoint, "default_real_mode", _mode),
    Twin("powerwall_operation_mode_state", CONFIG.endpoint, "default_real_mode", _mode_states),
    _config_twin(
        "powerwall_site_meter_max_power_watts",
        "site_info.max_site_meter_power_ac",
        lambda config: config.meter_max_power,
    ),
    _config_twin(
        "powerwall_site_meter_min_power_watts",
        "site_info.min_site_meter_power_ac",
        lambda config: config.meter_min_power,
    ),
    _config_twin(
        "powerwall_site_nominal_joules",
        "site_info.nominal_system_energy_ac",
        lambda config: config.nominal_energy,
    ),
    _config_twin(
        "powerwall_site_nominal_power_watts",
        "site_info.nominal_system_power_ac",
        lambda config: config.nominal_power,
    ),
    Twin("powerwall_site_net_meter_mode", CONFIG.endpoint, "site_info.net_meter_mode", _net_meter_mode),
    Twin("powerwall_site_info", CONFIG.endpoint, "site_info", _site_info),
    _config_twin("powerwall_customer_registered", "customer.registered", lambda config: config.registered),
    Twin("powerwall_sitemaster_running", CONTROLLER.endpoint, "system.sitemanagerStatus.isRunning", _running),
    Twin(
        "powerwall_instant_power_watts", CONTROLLER.endpoint, "control.meterAggregates[].realPowerW", _flows
    ),
    Twin(
        "powerwall_alert_active",
        CONTROLLER.endpoint,
        "control.alerts.active, activeAlerts of boards, packs and inverters; then source is gateway or the kind of "
        "the board, device its serial or empty for the gateway",
        _alerts,
    ),
    Twin("powerwall_alerts", CONTROLLER.endpoint, "the same alerts", _alert_counts),
    _system_twin("powerwall_info", "firmware_version", _firmware),
    _system_twin("powerwall_gateway_info", "din alone", _gateway),
    _system_twin("powerwall_firmware_version_part", "firmware_version.version", _version_parts),
    _system_twin(
        "powerwall_update_state",
        "update_status",
        lambda system: state_set(system.update_state, UPDATE_STATES),
    ),
    _system_twin(
        "powerwall_update_info",
        "server_staged_version alone",
        lambda system: (((system.staged_version, ""), 1.0),) if system.staged_version else (),
    ),
    _system_twin(
        "powerwall_update_last_check_timestamp_seconds",
        "last_handshake_timestamp",
        lambda system: _one(system.last_check),
    ),
    _system_twin(
        "powerwall_update_download_bytes_per_second",
        "estimated_bytes_per_second",
        lambda system: _one(system.download_speed),
    ),
    _phase_twin("powerwall_dev_phase_volts", "METER_X_VL1N to VL3N, METER_Y", lambda phase: phase.voltage),
    _phase_twin(
        "powerwall_dev_phase_power_watts",
        "METER_X_CTA_InstRealPower to CTC, METER_Y",
        lambda phase: phase.power,
    ),
    _phase_twin(
        "powerwall_dev_phase_reactive_power_vars",
        "METER_X_CTA_InstReactivePower to CTC, METER_Y",
        lambda phase: phase.reactive_power,
    ),
    _phase_twin(
        "powerwall_dev_phase_current_amperes",
        "METER_X_CTA_I to CTC, without a sign, METER_Y",
        lambda phase: phase.current,
    ),
    _transformer_twin("powerwall_dev_ct_enabled", "meters[].cts", lambda meter: meter.transformers),
    _transformer_twin("powerwall_dev_ct_inverted", "meters[].inverted", lambda meter: meter.inverted),
    Twin(
        "powerwall_dev_real_power_scale_ratio", CONFIG.endpoint, "meters[].real_power_scale_factor", _scales
    ),
)
