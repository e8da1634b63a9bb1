"""Which text format and which packing a client gets, by its headers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe_exporter.metrics.exposition import Format
from probe_exporter.web.negotiation import accepts_gzip, choose_format

TEXT, OPENMETRICS = Format.TEXT, Format.OPENMETRICS
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)

FORMATS: dict[str, tuple[str, Format]] = {
    "nothing": ("", TEXT),
    "anything": ("*/*", TEXT),
    "a browser": ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", TEXT),
    "Prometheus 2": (PROMETHEUS_2, OPENMETRICS),
    "Prometheus 3": (PROMETHEUS_3, OPENMETRICS),
    "protobuf, then text": (
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily,text/plain;version=0.0.4;q=0.5",
        TEXT,
    ),
    "OpenMetrics without a version": ("application/openmetrics-text", OPENMETRICS),
    "OpenMetrics of a version that does not exist": ("application/openmetrics-text;version=9.9.9", TEXT),
    "OpenMetrics least of all": ("application/openmetrics-text;q=0.1,text/plain;q=0.9", TEXT),
    "OpenMetrics refused": ("application/openmetrics-text;q=0,text/plain;q=0.1", TEXT),
    "text refused": ("text/plain;q=0,application/openmetrics-text;version=1.0.0;q=0.2", OPENMETRICS),
    "upper case": ("APPLICATION/OpenMetrics-Text; Version=1.0.0", OPENMETRICS),
    "blanks and quotes": (
        ' application/openmetrics-text ; version="1.0.0" ; q=0.9 , text/plain;q=0.5',
        OPENMETRICS,
    ),
    "a quality that is none": ("application/openmetrics-text;version=1.0.0;q=high,text/plain;q=0.1", TEXT),
    "a quality above one": ("application/openmetrics-text;q=7,text/plain;q=0.1", TEXT),
    "image only": ("image/png", TEXT),
}

PACKINGS: dict[str, tuple[str, bool]] = {
    "nothing": ("", False),
    "gzip": ("gzip", True),
    "Prometheus": ("gzip", True),
    "a browser": ("gzip, deflate, br, zstd", True),
    "anything": ("*", True),
    "gzip refused": ("gzip;q=0", False),
    "gzip refused, anything else taken": ("gzip;q=0, *", False),
    "identity": ("identity", False),
    "anything refused": ("*;q=0", False),
    "upper case": ("GZIP;Q=0.5", True),
    "another word": ("xgzip", False),
}


@pytest.mark.parametrize(("accept", "expected"), FORMATS.values(), ids=FORMATS)
def test_format(accept: str, expected: Format) -> None:
    assert choose_format(accept) is expected


@pytest.mark.parametrize(("accept", "expected"), PACKINGS.values(), ids=PACKINGS)
def test_packing(accept: str, expected: bool) -> None:
    assert accepts_gzip(accept) is expected


def test_content_types_are_constant() -> None:
    assert TEXT.value == "text/plain; version=0.0.4; charset=utf-8"
    assert OPENMETRICS.value == "application/openmetrics-text; version=1.0.0; charset=utf-8"


@given(st.text(max_size=200) | st.text("aq=;,*/.0123456789 -", max_size=200))
def test_nothing_raises(header: str) -> None:
    assert choose_format(header) in Format
    assert accepts_gzip(header) in (True, False)
