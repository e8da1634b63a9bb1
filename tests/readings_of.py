"""Readings of the payloads in ``tests/payloads``, and the samples that families make of readings."""

from __future__ import annotations

from pathlib import Path

from probe_exporter.metrics import CATALOGUE
from probe_exporter.readings import Readings
from probe_exporter.readings.document import ATTRIBUTES, read
from probe_exporter.readings.payload import decode

PAYLOADS = Path(__file__).parent / "payloads"
SYSTEMS = ("legacy-1.x", "pw2-21.44-running", "pw2-21.44-stopped", "neurio-22.9", "pwplus-23.28", "pw3-26")
READ_AT = 1_700_000_000.0

BY_NAME = {family.name: family for family in CATALOGUE}

Samples = dict[tuple[str, ...], float]


def payload_file(system: str, endpoint: str) -> Path:
    return PAYLOADS / system / f"{endpoint.replace('/', '_')}.json"


def readings_of(system: str) -> Readings:
    """What a system says, read at `READ_AT`."""
    readings = Readings()
    for endpoint, attribute in ATTRIBUTES.items():
        file = payload_file(system, endpoint)
        if file.exists():
            setattr(readings, attribute, read(endpoint, decode(file.read_bytes()), READ_AT).value)
    return readings


def readings_from(**documents: object) -> Readings:
    """Readings of JSON documents, by the attribute of their endpoint."""
    endpoints = {attribute: endpoint for endpoint, attribute in ATTRIBUTES.items()}
    readings = Readings()
    for attribute, document in documents.items():
        setattr(readings, attribute, read(endpoints[attribute], document, READ_AT).value)
    return readings


def samples_of(readings: Readings, name: str) -> Samples:
    """The samples of one family; of equal label sets the first."""
    samples: Samples = {}
    for labels, value in BY_NAME[name].read(readings):
        samples.setdefault(labels, value)
    return samples


def value_of(readings: Readings, name: str, *labels: str) -> float | None:
    """The value of one sample, None where there is none."""
    return samples_of(readings, name).get(labels)
