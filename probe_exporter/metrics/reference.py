"""The catalogue as text: METRICS.md, JSON for programs, a line for each metric for a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from probe_exporter.config.schema import COLLECTORS
from probe_exporter.metrics import CATALOGUE
from probe_exporter.metrics.probe import PROBE_FAMILIES
from probe_exporter.metrics.tariff import SITE_FAMILIES, TARIFF_FAMILIES

_INTRODUCTION: Final = """\
# Metrics

Written by `make docs` from the catalogue in `probe_exporter/metrics/`; do not edit.

What `/probe?target=…` gives for one gateway. No metric names the gateway: Prometheus adds `instance` and the labels
that relabelling or HTTP SD bring. `probe_exporter metrics --format json` has the same for programs.

## How to read them

- **Base units**: joules, watts, volts, amperes, hertz, seconds, ratios from 0 to 1. kWh are joules / 3.6e6. Prices are
  the one exception: they are those of a kWh, as on every bill.
- **Absent is absent.** A value that the gateway does not measure, gives as null or marks as unlimited has no sample;
  it is never 0. A failed probe has `probe_success` 0 and shows nothing kept from an earlier one.
- **Signs.** Site: + draws from the grid, − feeds it. Battery: + discharges, − charges. Load: + is use. Solar: + is
  production. Battery *current* is on the DC side, and + is charging.
- **Counters** are the gateway's own lifetime totals, never summed up here. `increase()` takes a false step back for the
  whole lifetime, and a gap does it no harm: so a reading that cannot be true is held back, and the series has a gap.
  Held back are values below zero, zeros after a reboot, drops, rises above 200 kW, and the load while one of the
  counters that the gateway derives it from is held back or missing. A new meter and a second battery are believed after
  ten minutes, and every hold ends after seven days at the latest, as a new beginning. The load may run backwards for
  hours where a car or a second battery feeds the home: its `increase()` then lies between its net and its gross rise.
  `powerwall_readings_held_back` counts what a probe held back, and the log has the counter and the reason.
- **States** come twice: as the Go exporter has them (one series of 1, the state in a label), and as state sets: one
  series for each known state, 0 or 1, and `other` for a word that no release knew.
- **Age.** Core power readings are new at every probe. What changes rarely is asked once a minute or once in ten
  minutes, two such endpoints a probe at most. On slow Wi-Fi not everything fits into a probe: the endpoints come in
  turns, and fast values are kept for 30 seconds. `powerwall_endpoint_age_seconds` is the age of each answer.
- **Never measured.** A category whose meter never answered (its time is in the year 1, and every number is 0) has no
  samples. A phase whose power the gateway leaves out because it is exactly 0 has 0. 0 A beside more than 100 VA is
  not a measurement, and has no sample.
- **Phases** are `a`, `b` and `c` in every family, so that volts, amperes and watts join; line l1 of the gateway is `a`.
- **Meters.** The label `id`, in brackets below, is there only where several meters of a category share type and serial.
  There `powerwall_dev_info` joins on `category`, `type`, `serial` and `id`, and elsewhere on the first three.
- **Limits.** 1,000 series an endpoint and 2,000 a gateway; what is left out counts in `powerwall_series_dropped`.

## What is odd, and known

- `powerwall_site_nominal_joules` is the energy of one battery up to firmware 1.47, and of all batteries later.
- `powerwall_instant_average_amps` equals `powerwall_instant_total_amps` in every recording. For the load both are power
  divided by voltage, where the voltage of a synchrometer is the mean of the phases times √3: no meter would show that
  current. For the site a synchrometer adds the currents of its transformers up, without their signs.
- A Powerwall 3 does not report its uptime, so a first total of 0 is held back for ten minutes. Two may truly be 0, what
  the load exported and what solar imported: `powerwall_readings_held_back` is then 2 after the first start, and its
  alert is pending.
- A new pack has some 14.4 kWh where 13.5 kWh are nominal: a health above 1 is normal.
- A solar *meter* (`powerwall_dev_*`) counts production as imported, the category (`powerwall_exported_joules_total`) as
  exported.
- The frequency of 0 Hz that most meters give is not a measurement, and has no sample.

## A few queries

```promql
# solar production of the last day, in kWh
increase(powerwall_exported_joules_total{category="solar"}[1d]) / 3.6e6
# power drawn from the grid, in kW
powerwall_instant_power_watts{category="site"} / 1000
# charge as Tesla's app shows it
powerwall_charge_app_ratio * 100
# houses that are off the grid
powerwall_grid_connected == 0
# why probes fail
probe_failure_reason == 1
```
"""

_NO_FAMILIES: Final = """\
No families of its own: it lets the exporter ask `system_status/grid_faults` where `system_status` does not carry the
list of grid faults. The metrics of the list are under `core`."""

_SUBJECTS: Final = {
    "core": "Core: requested first in every probe",
    "meters": "Meters one by one",
    "grid": "Grid",
    "site": "Site, firmware, inventory",
    "network": "Networks",
    "solar": "Powerwall+ solar inverter",
    "tariff": "Prices, by a tariff of the configuration",
    "tedapi": "Powerwall 3 and vitals, by TEDAPI",
}


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    kind: str
    labels: tuple[str, ...]
    help: str
    collector: str
    endpoint: str
    hardware: str
    optional: str = ""


def _entries() -> Iterable[_Entry]:
    for name, documentation, labels in (*PROBE_FAMILIES, *SITE_FAMILIES):
        yield _Entry(name, "gauge", labels, documentation, "probe", "", "all")
    for name, documentation, labels in TARIFF_FAMILIES:
        yield _Entry(name, "gauge", labels, documentation, "tariff", "", "where a tariff is configured")
    for family in CATALOGUE:
        yield _Entry(
            family.name,
            family.kind,
            family.labels,
            family.help,
            family.collector,
            family.endpoint,
            family.hardware,
            family.optional,
        )


def markdown() -> str:
    """The catalogue as METRICS.md has it."""
    entries = list(_entries())
    parts = [
        _INTRODUCTION,
        _section("Every probe", [entry for entry in entries if entry.collector == "probe"]),
    ]
    parts += [
        _section(
            f"{_SUBJECTS[collector]} (collector `{collector}`)",
            [entry for entry in entries if entry.collector == collector],
        )
        for collector in COLLECTORS
    ]
    return "\n".join(parts)


def _section(title: str, entries: list[_Entry]) -> str:
    if not entries:
        return f"## {title}\n\n{_NO_FAMILIES}\n"
    lines = [f"## {title}", "", "| metric | labels | meaning | who has it |", "|---|---|---|---|"]
    for entry in entries:
        kind = " (counter)" if entry.kind == "counter" else ""
        labels = ", ".join(
            f"(`{label}`)" if label == entry.optional else f"`{label}`" for label in entry.labels
        )
        meaning = entry.help.replace("|", "\\|")
        lines.append(f"| `{entry.name}`{kind} | {labels} | {meaning} | {entry.hardware} |")
    return "\n".join([*lines, ""])


def as_json() -> str:
    """A list of objects, one for each metric."""
    entries = [
        {
            "name": entry.name,
            "type": entry.kind,
            "labels": list(entry.labels),
            "help": entry.help,
            "collector": entry.collector,
            "endpoint": entry.endpoint,
            "hardware": entry.hardware,
        }
        for entry in _entries()
    ]
    return json.dumps(entries, indent=2, ensure_ascii=False) + "\n"


def text() -> str:
    """Return a line for each metric."""
    lines = []
    for entry in _entries():
        labels = "{" + ",".join(entry.labels) + "}" if entry.labels else ""
        lines.append(f"{entry.name}{labels} ({entry.kind}): {entry.help}\n")
    return "".join(lines)
