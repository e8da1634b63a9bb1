"""Distrustful access: whatever a gateway sends, a field is of the type that was asked for, or None."""

from __future__ import annotations

import contextlib
import json
import math
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probe_exporter.errors import DecodeError
from probe_exporter.gateway.wire import MAX_BODY
from probe_exporter.metrics import CATALOGUE
from probe_exporter.readings import Readings
from probe_exporter.readings.document import ATTRIBUTES, read
from probe_exporter.readings.payload import MAX_TEXT, MAX_VALUES, MAX_WORDS, Payload, clean, decode
from tests.readings_of import READ_AT, SYSTEMS, payload_file

SCALARS = (
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers(-(10**400), 10**400)
    | st.text(max_size=8)
    | st.sampled_from(
        ["0001-01-01T00:00:00Z", "2023-11-04T15:27:48.2-07:00", "9h5m", "Grid_Compliant", "1e999", "None"]
    )
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def documents_of(endpoint: str) -> list[Any]:
    files = (payload_file(system, endpoint) for system in SYSTEMS)
    return [json.loads(file.read_text("utf-8")) for file in files if file.exists()]


def mutated(document: Any, data: st.DataObject) -> Any:
    """The document with arbitrary JSON in the place of some of its parts."""
    if data.draw(st.integers(0, 9)) == 0:
        return data.draw(DOCUMENTS)
    if isinstance(document, dict):
        return {key: mutated(value, data) for key, value in document.items()}
    if isinstance(document, list):
        return [mutated(value, data) for value in document]
    return document


def check_families(readings: Readings) -> None:
    """Every family yields samples of its arity, with texts for labels and finite floats for values."""
    for family in CATALOGUE:
        for labels, value in family.read(readings):
            assert len(labels) == len(family.labels), family.name
            assert all(type(label) is str and len(label) <= MAX_TEXT for label in labels), family.name
            assert isinstance(value, (int, float)), family.name
            assert math.isfinite(value), family.name
            assert math.copysign(1.0, value) == 1.0 or value != 0.0, family.name


@pytest.mark.parametrize("endpoint", ATTRIBUTES)
@settings(max_examples=60, deadline=None)
@given(document=DOCUMENTS)
def test_arbitrary_json_never_raises(endpoint: str, document: Any) -> None:
    readings = Readings()
    setattr(readings, ATTRIBUTES[endpoint], read(endpoint, document, READ_AT).value)
    check_families(readings)


@pytest.mark.parametrize("endpoint", ATTRIBUTES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_payloads_with_odd_parts_never_raise(endpoint: str, data: st.DataObject) -> None:
    document = mutated(data.draw(st.sampled_from(documents_of(endpoint))), data)
    readings = Readings(sitemaster=read("sitemaster", {"running": False}, READ_AT).value)  # type: ignore[arg-type]
    setattr(readings, ATTRIBUTES[endpoint], read(endpoint, document, READ_AT).value)
    check_families(readings)


@pytest.mark.parametrize("endpoint", ATTRIBUTES)
@pytest.mark.parametrize("document", [None, {}, "", 0.0, True, {"nothing": "we know"}], ids=repr)
def test_a_document_without_a_known_field_is_not_usable(endpoint: str, document: object) -> None:
    assert read(endpoint, document, READ_AT).value is None


def test_unknown_words_are_told_once_and_in_order() -> None:
    blocks = [{"pinv_state": word} for word in ("PINV_Dreams", "PINV_Off", "", "PINV_Sleeps", "PINV_Dreams")]
    reading = read("system_status", {"battery_blocks": blocks}, READ_AT)
    assert reading.unknown == ("PINV_Dreams", "PINV_Sleeps")


def test_an_endpoint_that_is_not_in_the_table_is_a_mistake_of_ours() -> None:
    with pytest.raises(KeyError):
        read("sitemaster/stop", {}, READ_AT)


@pytest.mark.parametrize(
    "body",
    [b"", b"404 page not found\n", b'{"a":', b"\xff{}", b"[" * 9_000],
    ids=lambda body: repr(body[:9]),
)
def test_what_is_no_json_is_a_decode_error(body: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(body)
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("page", [b"<html>", b" \r\n<!DOCTYPE html>" + b"," * 20_000])
def test_a_web_page_is_told_as_such(page: bytes) -> None:
    with pytest.raises(DecodeError, match="web page"):
        decode(page)


NUMBERS = (
    *("NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1e999999999"),
    *("9" * 400, "-" + "9" * 5000, "1" + "0" * 500_000, "1." + "0" * 500_000 + "e400"),
)


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: f"{number[:12]}, {len(number)} characters")
def test_a_number_without_a_finite_value_costs_its_own_field_only(number: str) -> None:
    payload = Payload(
        decode(f'{{"before": 1, "it": {number}, "in": {{"it": [{number}]}}, "after": 2.5}}'.encode())
    )
    assert payload.number("it") is None
    assert payload.child("in").is_object
    assert (payload.number("before"), payload.number("after")) == (1.0, 2.5)


def test_minus_zero_is_zero() -> None:
    assert math.copysign(1.0, Payload(decode(b'{"it": -0}')).number("it") or 0.0) == 1.0


HOSTILE = {
    "lists": b"[],",
    "lists of lists": b"[[]],",
    "nested lists": b"[" * 30 + b"]" * 30 + b",",
    "lists nested as deep as may be": b"[" * 900 + b"]" * 900 + b",",
    "objects": b'{"a":{}},',
    "numbers": b"1,",
    "numbers next to the largest": b"1.7976931348623158079372897140530341507993e308,",
    "numbers next to the smallest": b"2.2250738585072011360574097967091319759348e-308,",
    "long numbers": b"1" * 800 + b",",
    "texts": b'"",',
    "escapes": rb'"\ud83d\ude00\ud83d\ude00\ud83d\ude00",',
}


def hostile(unit: bytes, values: int) -> bytes:
    """A list that repeats ``unit``, with ``values`` values at most and no longer than an answer may be."""
    each = sum(map(unit.count, (b",", b"[", b"{")))
    return b"[" + unit * min((MAX_BODY - 3) // len(unit), (values - 1) // each) + b"0]"


def seconds_to_decode(body: bytes) -> float:
    """CPU seconds of decoding ``body`` at 24 endpoints, all documents kept until the last one is there."""
    documents = []
    started = time.process_time()
    for _ in range(24):
        with contextlib.suppress(DecodeError):
            documents.append(decode(body))
    return time.process_time() - started


@pytest.mark.parametrize("values", [MAX_VALUES, MAX_BODY], ids=["as many as are read", "a whole MiB"])
@pytest.mark.parametrize("unit", HOSTILE.values(), ids=HOSTILE)
def test_all_answers_of_a_probe_are_decoded_within_a_second(unit: bytes, values: int) -> None:
    assert seconds_to_decode(hostile(unit, values)) < 1.0


def test_objects_with_many_keys_are_decoded_within_a_second() -> None:
    keys = b",".join(b'"%090d":0' % key for key in range(MAX_VALUES - 1))
    assert len(decode(b"{" + keys + b"}")) == MAX_VALUES - 1  # type: ignore[arg-type]
    assert seconds_to_decode(b"{" + keys + b"}") < 1.0


@pytest.mark.parametrize("unit", [b"0,", b"[],", b"{},", b'{"a":[0]},', b'",",'])
def test_a_document_has_a_limit_of_values(unit: bytes) -> None:
    decode(hostile(unit, MAX_VALUES))
    with pytest.raises(DecodeError, match="more than 10000 values"):
        decode(hostile(unit, MAX_VALUES + 3))


# Words


def test_a_word_is_kept_once_however_often_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probe_exporter.readings.payload._words", {})
    first, second = (Payload(decode(b'{"it": "Grid_Uncompliant"}')).text("it") for _ in range(2))
    assert first == "Grid_Uncompliant"
    assert first is second


def test_other_words_have_a_limit_and_known_ones_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    words: dict[str, str] = {}
    monkeypatch.setattr("probe_exporter.readings.payload._words", words)
    for number in range(MAX_WORDS + 100):
        assert clean(f"word {number}") == f"word {number}"
    assert len(words) == MAX_WORDS
    known = ("SystemGridConnected", "SystemIslandedActive")
    said = decode(b'{"it": "SystemIslandedActive"}')
    assert Payload(said).word("it", known) is known[1]


@pytest.mark.parametrize("text", ["2023-11-04T15:27:48.2-07:00", "1699136868", "23.44.0 eb113390"])
def test_timestamps_are_not_kept(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words: dict[str, str] = {}
    monkeypatch.setattr("probe_exporter.readings.payload._words", words)
    assert clean(text) == text
    assert not words


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (3, 3.0), (2.5, 2.5), (-0.0, 0.0), (-1, -1.0), (1.7976931348623157e308, 1.7976931348623157e308),
        (True, None), ("3", None), (None, None), ([3], None), (math.nan, None), (-math.inf, None), (10**400, None),
    ],
)  # fmt: skip
def test_number(value: object, number: float | None) -> None:
    assert Payload({"it": value}).number("it") == number


def test_a_number_that_is_too_large_in_base_units_is_none() -> None:
    assert Payload({"it": 1.7e308}).number("it", 3600.0) is None


@pytest.mark.parametrize(("percent", "ratio"), [(57, 0.57), (0, 0.0), ("57", None), (None, None)])
def test_ratio(percent: object, ratio: float | None) -> None:
    assert Payload({"it": percent}).ratio("it") == ratio


@pytest.mark.parametrize(
    ("value", "moment"), [(1640546006659, 1640546006.659), (0, None), (-5, None), ("1640546006659", None)]
)
def test_moment(value: object, moment: float | None) -> None:
    assert Payload({"it": value}).moment("it") == moment


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("223h5m51.577762169s", 803151.577762169), ("1.5ms", 0.0015), ("12s", 12.0), ("0s", 0.0),
        ("802459s,", None), ("log:", None), ("-5s", None), ("", None), (12.0, None), (None, None),
        ("9" * 400 + "h", None),
    ],
)  # fmt: skip
def test_duration(text: object, seconds: float | None) -> None:
    measured = Payload({"it": text}).duration("it")
    assert measured == (None if seconds is None else pytest.approx(seconds, abs=1e-6))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2021-12-26T13:09:22.321056599-07:00", 1640549362.321056599), ("2023-04-08T12:55:00+01:00", 1680954900.0),
        ("2026-05-12T20:56:13.980864Z", 1778619373.980864), ("2026-05-12T20:56:13", 1778619373.0),
        ("0001-01-01T00:00:00Z", None), ("0001-01-01T00:00:00+05:30", None), ("", None), ("yesterday", None), (0, None),
        ("9999-12-31T23:59:59-23:59", 253402387139.0), ("2021-13-01T00:00:00Z", None), ("2" * 70, None), (None, None),
    ],
)  # fmt: skip
def test_instant(text: object, seconds: float | None) -> None:
    measured = Payload({"it": text}).instant("it")
    assert measured == (None if seconds is None else pytest.approx(seconds, abs=1e-6))


def test_label_values_are_short_and_printable() -> None:
    assert clean("a\n\x00\ud800b\u200b") == "a\ufffd\ufffd\ufffdb\ufffd"
    assert clean(" 1.15.0\r\n") == "1.15.0"
    assert clean("é ü 電") == "é ü 電"
    assert len(clean("x" * 10_000)) == MAX_TEXT


def test_lists() -> None:
    payload = Payload(
        {"l": ["a", 1, None, "b\nc"], "f": [True, 0, False], "n": None, "o": {"k\nl": {"x": "y"}}}
    )
    assert payload.texts("l") == ("a", "b\ufffdc")
    assert payload.flags("f") == (True, None, False)
    assert (payload.length("l"), payload.length("n"), payload.length("o")) == (4, None, None)
    assert (payload.texts("n"), payload.flags("o")) == ((), ())
    assert [(key, child.text("x")) for key, child in payload.child("o").items()] == [("k\ufffdl", "y")]
    assert [child.is_object for child in payload.child("l").elements()] == [False] * 4
    assert payload.child("l").is_list
    assert not list(payload.elements())
    assert not list(payload.child("l").items())
    assert payload.child("absent").number("deep") is None


def test_flag_and_text_take_nothing_else() -> None:
    payload = Payload({"one": 1, "yes": True, "word": "yes"})
    assert [payload.flag(key) for key in ("one", "yes", "word")] == [None, True, None]
    assert [payload.text(key) for key in ("one", "yes", "word")] == [None, None, "yes"]
