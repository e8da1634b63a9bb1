"""Durations as Go and people write them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from probe_exporter.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("37s", 37.0),
        ("1m20s", 80.0),
        ("5d12h10.07s", 5 * 86400 + 12 * 3600 + 10.07),
        ("250ms", 0.25),
        ("1.5h", 5400.0),
        ("3us", 3e-6),
        ("3µs", 3e-6),
        ("3μs", 3e-6),
        ("7ns", 7e-9),
        (".5s", 0.5),
        ("1.s", 1.0),
        ("1h1h", 7200.0),
        ("+2m", 120.0),
        ("-2m", -120.0),
        ("0", 0.0),
        ("10", 10.0),
        ("0.25", 0.25),
        (" 5s ", 5.0),
    ],
)
def test_what_is_a_duration(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize(
    "text",
    """|s|-|+|5 s|1m 20s|1s1|1y|1S|1e3|1e3s|nan|inf|infs|--1s|1..5s|٣s|1_0s|0x1s|1,5s|.s|.|1m\x00|1s\n2s""".split(
        "|"
    ),
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0s"),
        (80.0, "1m20s"),
        (37.0, "37s"),
        (0.5, "500ms"),
        (0.0005, "500us"),
        (7e-9, "7ns"),
        (1e-10, "0s"),
        (1.5, "1.5s"),
        (3600.0, "1h"),
        (5 * 86400 + 12 * 3600 + 10.07, "5d12h10.07s"),
        (-80.0, "-1m20s"),
    ],
)
def test_how_a_duration_is_written(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(min_value=-(10**17), max_value=10**17))
def test_what_is_written_reads_the_same(nanoseconds: int) -> None:
    seconds = nanoseconds / 1e9
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=1e-12, abs=1e-9)


@given(st.text())
@example("9" * 64 + "s")
@example("1" * 5000)
@example("1h" * 2000)
def test_any_text_is_a_number_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(parse_duration(text), float)
