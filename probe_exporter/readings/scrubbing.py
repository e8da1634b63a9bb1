"""A gateway's answer without what identifies its owner.

What is kept is a list of fields known to be harmless, each with the form that its text may have; everything else
becomes a stand-in. Equal texts get equal stand-ins, so that structure and duplicates survive.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from probe_exporter.readings.battery import SITE_MASTER_RUNS

_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z| ?[+-][0-9]{2}:?[0-9]{2})?"
)
_DURATION: Final = re.compile(r"([0-9]{1,9}(\.[0-9]{1,9})?(h|ms|m|s|us|µs|ns))+")
_DIN: Final = re.compile(r"([0-9]{7}-[0-9]{2}-[A-Z])--(.+)", re.DOTALL)
_PART: Final = re.compile(r"[0-9]{7}-[0-9]{2}-[A-Z]")
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z_ ]{0,63}|/[a-z_]{1,63}")
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_VERSION: Final = re.compile(r"[0-9]{1,4}(\.[0-9]{1,4}){1,3}(-[a-z0-9]{1,12})?( [0-9a-f]{6,40})?")
_HASH: Final = re.compile(r"[0-9a-f]{6,40}")
_GRID: Final = re.compile(r"[A-Za-z0-9_.-]{1,48}(:[A-Za-z0-9_.-]{1,32})?")
_CHECK: Final = re.compile(r"[A-Za-z][A-Za-z -]{0,63}")
_KEY: Final = re.compile(r"[A-Za-z]*[a-z_][A-Za-z0-9_-]{0,80}")

_TEXTS: Final[dict[str, tuple[re.Pattern[str], ...]]] = {
    **dict.fromkeys(
        (
            "OpSeqState", "can_reboot", "command_source", "disabled_reasons", "disconnect_type", "grid_phase_setting",
            "grid_state", "grid_status", "installation_types", "interface", "mode", "net_meter_mode",
            "pinv_grid_state", "pinv_state", "power_status_setpoint", "pvac_state", "real_mode", "self_test_state",
            "solar_installation", "solar_installation_type", "state_reason", "status", "system_island_state",
            "teg_type", "units",
        ),
        (_WORD,),
    ),
    **dict.fromkeys(
        (
            "Type", "alert_name", "category", "ct1", "ct2", "ct3", "device_type", "ecu_type", "inv_state", "location",
            "pv_state", "sync_type", "type",
        ),
        (_NAME,),
    ),
    **dict.fromkeys(("firmwareVersion", "version"), (_VERSION, _HASH)),
    **dict.fromkeys(("commit", "git_hash"), (_HASH,)),
    **dict.fromkeys(("PackagePartNumber", "ecu_package_part_number", "partNumber"), (_PART,)),
    **dict.fromkeys(("grid_code", "region"), (_GRID,)),
    "security_type": (_NAME,),
}  # fmt: skip
"""The fields whose text may stay, and the forms it may have."""

_ENDPOINT_TEXTS: Final[dict[str, dict[str, tuple[re.Pattern[str], ...]]]] = {
    "networks": {"state": (_WORD,)},
    "system/update/status": {"state": (_WORD,), "info": (_WORD,)},
    "solar_powerwall": {"state": (_NAME,), "name": (_NAME,)},
    "system_status": {"name": (_NAME,), "value": (_NAME,)},
    "system_status/grid_faults": {"name": (_NAME,), "value": (_NAME,)},
    "powerwalls": {"name": (_CHECK,)},
    "troubleshooting/problems": {"problems": (_NAME,)},
}
"""Fields that are harmless at one endpoint and would show where somebody lives, or a name, at another."""

_NETWORKS: Final = re.compile(r"[a-z]+_tesla_internal_default|default_[a-z]+|connman_[a-z]+")
"""Names of networks that every gateway has; all others belong to somebody."""

_NUMBERS: Final = frozenset(
    """
    alert alert_is_fault alert_raw allow_public_ip auxiliary_load available_blocks available_charger_blocks
    backup_reserve_percent battery_target_power battery_target_reactive_power blocks_controlled channel code
    commission_count ct current current_time energy_charged energy_discharged energy_exported energy_exported_a
    energy_exported_b energy_exported_c energy_imported energy_imported_a energy_imported_b energy_imported_c errors
    estimated_bytes_per_second expected_energy_remaining f_out ffr_power_availability_high
    ffr_power_availability_low fout followers freq_shift_load_shed_delta_f freq_shift_load_shed_soe frequency
    grid_freq_setting grid_reconnection_time_seconds grid_services_power grid_voltage_setting
    hardware_capability_charge_power hardware_capability_discharge_power hysteresis i_a_current i_b_current
    i_c_current i_out id instant_apparent_power instant_average_current instant_average_voltage instant_power
    instant_reactive_power instant_total_current instantaneous_max_apparent_power instantaneous_max_charge_power
    instantaneous_max_discharge_power inverter_nominal_usable_power inverted last_status_time
    load_charge_constraint max_apparent_power max_charge_power max_discharge_power max_power_energy_remaining
    max_power_energy_to_be_charged max_site_meter_power_kW max_sustained_ramp_rate max_system_energy_kWh
    max_system_power_kW measured_frequency measured_power measured_voltage min_site_meter_power_kW netmask
    nominal_energy_remaining nominal_full_pack_energy nominal_system_energy_kWh nominal_system_power_kW
    num_meters_aggregated p_out panel_max_current percentage phase_detection_attempt power_rating_watts progress
    pv_power_limit q_out reactive_power_a reactive_power_b reactive_power_c real_power_a real_power_b real_power_c
    real_power_scale_factor score signal_strength smart_inv_delta_p smart_inv_delta_q solar_real_power_limit
    string_id timeout timestamp up_time_seconds v_l1n v_l2n v_l3n v_ll v_out value vout
    """.split()
)
"""The fields whose numbers may stay. Booleans and nulls always do."""


_SIGNAL: Final = re.compile(r"[A-Z][A-Za-z0-9]*(_[A-Za-z0-9]+)+|CONNECTED")
"""A word of a signal or a state of TEDAPI. Serials of boards come as hexadecimal text, which has no underscore."""

_BUSES: Final = frozenset("ISLANDER MSA PINV POD PVAC PVS SYNC THC".split())
"""Keys of TEDAPI in capitals, as a serial might be."""

_TEDAPI_TEXTS: Final[dict[str, dict[str, tuple[re.Pattern[str], ...]]]] = {
    "config": dict.fromkeys(
        (
            "TOU_mode", "battery_power_status", "customer_preferred_export_rule", "default_real_mode",
            "net_meter_mode", "phase", "phase1", "phase2", "phase3", "pvi_power_status",
        ),
        (_NAME,),
    ),
    "system": {"gitHash": (_HASH,), "stagedVersion": (_VERSION,)},
    "controller": {
        **dict.fromkeys(("active", "name"), (_NAME,)),
        **dict.fromkeys(("customerIslandMode", "disableReasons", "reasons"), (_WORD,)),
        **dict.fromkeys(
            (
                "ISLAND_GridConnected", "ISLAND_GridState", "PINV_GridState", "PINV_State", "PVAC_State",
                "PVS_SelfTestState", "PVS_State", "textValue",
            ),
            (_SIGNAL,),
        ),
    },
    "components": {"name": (_NAME,), "textValue": (_SIGNAL,)},
}  # fmt: skip
"""As `_ENDPOINT_TEXTS`, for the four documents of TEDAPI, a follower's among them."""

_TEDAPI_NUMBERS: Final = re.compile(
    r"(ISLAND|METER|PINV|POD|PVAC|PVS)_\w+|(nominal|bytes|total|estimated|last|real)[A-Z]\w+|status|handshakeResult|"
    r"(max|min|nominal)_\w+"
)


class Scrubber:
    """Stand-ins for the texts of one record: the same for the same text, whichever answer it is in.

    ``replaced`` names the fields in which something was replaced, as ``endpoint: field``.
    """

    def __init__(self) -> None:
        self._stand_ins: dict[str, str] = {}
        self.replaced: set[str] = set()

    def scrub(self, endpoint: str, document: object) -> Any:
        """The decoded answer of ``endpoint`` (its path without ``/api/``) with stand-ins in it."""
        return self._value(endpoint, "", document)

    def stand_in(self, text: str) -> str:
        """Return the stand-in for a text."""
        return self._stand_ins.setdefault(text, f"scrubbed-{len(self._stand_ins) + 1}")

    def _value(self, endpoint: str, key: str, value: object) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, dict):
            return {self._key(inner): self._value(endpoint, inner, field) for inner, field in value.items()}
        if isinstance(value, list):
            return [self._value(endpoint, key, element) for element in value]
        if isinstance(value, str):
            return self._text(endpoint, key, value)
        if key in _NUMBERS or (not key and endpoint != ""):
            return value
        if _tedapi_kind(endpoint) and _TEDAPI_NUMBERS.fullmatch(key):
            return value
        self.replaced.add(f"{endpoint}: {key}")
        return 0

    def _key(self, key: str) -> str:
        return key if _KEY.fullmatch(key) or key in _BUSES else self.stand_in(key)

    def _text(self, endpoint: str, key: str, text: str) -> str:
        bare = text.strip()
        if not bare or _TIME.fullmatch(bare) or _DURATION.fullmatch(bare):
            return text
        if key == "decoded_alert":
            return self._nested(endpoint, text)
        if key == "network_name" and _NETWORKS.fullmatch(text):
            return text
        special = _TEDAPI_TEXTS.get(_tedapi_kind(endpoint)) or _ENDPOINT_TEXTS.get(endpoint, {})
        forms = special.get(key) or _TEXTS.get(key, ())
        if any(form.fullmatch(bare) for form in forms):
            return text
        self.replaced.add(f"{endpoint}: {key}")
        if key == "message" and SITE_MASTER_RUNS in text:
            return SITE_MASTER_RUNS
        din = _DIN.fullmatch(bare)
        return f"{din[1]}--{self.stand_in(din[2])}" if din else self.stand_in(bare)

    def _nested(self, endpoint: str, text: str) -> str:
        """A text that is JSON itself, as the details of a grid fault are."""
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            return self.stand_in(text)
        return json.dumps(self._value(endpoint, "", document))


def _tedapi_kind(endpoint: str) -> str:
    """Return the kind of this document of TEDAPI (there are four), "" for a document of the owner interface."""
    parts = endpoint.split("/")
    return parts[1] if parts[0] == "tedapi" and len(parts) > 1 else ""
