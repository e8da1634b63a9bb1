"""Tariffs: which price applies at which second, when it changes next, and which entries never can."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probe_exporter.config.schema import COLLECTORS
from probe_exporter.metrics.exposition import Format, render
from probe_exporter.metrics.tariff import SITE_FAMILIES, TARIFF_FAMILIES, site_metrics
from probe_exporter.tariffs import PriceEntry, Tariff, never_applying
from probe_exporter.tariffs import conditions as read
from probe_exporter.tariffs.plan import utc_offset
from tests import configs

BERLIN = ZoneInfo("Europe/Berlin")


def entry(price: float, name: str = "", **conditions: str) -> PriceEntry:
    """An entry from the texts that a configuration has."""
    found: dict[str, object] = {}
    if "hours" in conditions:
        found["hours"] = tuple(read.hours(one) for one in conditions["hours"].split(","))
    if "days" in conditions:
        found["weekdays"] = frozenset().union(*map(read.weekdays, conditions["days"].split(",")))
    if "months" in conditions:
        found["months"] = frozenset().union(*map(read.months, conditions["months"].split(",")))
    if "dates" in conditions:
        found["dates"] = frozenset(map(read.calendar_date, conditions["dates"].split(",")))
    return PriceEntry(price, name, **found)  # type: ignore[arg-type]


def tariff(*entries: PriceEntry, zone: str = "Europe/Berlin", export: tuple[PriceEntry, ...] = ()) -> Tariff:
    return Tariff("night", "EUR", ZoneInfo(zone), entries, export)


def unix(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def price(one: Tariff, text: str, zone: str = "Europe/Berlin") -> float:
    return one.prices(unix(text, zone)).imported.price


NIGHT = tariff(entry(0.18, "night", hours="22:00-06:00"), entry(0.32, "day"))


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-11-25 21:59:59", 0.32),
        ("2026-11-25 22:00:00", 0.18),
        ("2026-11-25 23:59:59", 0.18),
        ("2026-11-26 00:00:00", 0.18),
        ("2026-11-26 05:59:59.999", 0.18),
        ("2026-11-26 06:00:00", 0.32),
    ],
)
def test_a_price_changes_at_the_second_it_should(moment: str, expected: float) -> None:
    assert price(NIGHT, moment) == expected


WEEKEND = entry(1, hours="22:00-06:00", days="sat-sun")
CHRISTMAS = entry(1, dates="2026-12-25")
CHRISTMAS_NIGHT = entry(1, hours="22:00-06:00", dates="2026-12-25")
WINTER_PEAK = entry(1, days="mon-fri", hours="17:00-20:00", months="nov-mar")
LEAP_DAY = entry(1, dates="2028-02-29")
FEBRUARY = entry(1, months="feb")


@pytest.mark.parametrize(
    ("conditional", "moment", "applies"),
    [
        # A span over midnight belongs to the day on which it begins: Saturday's and Sunday's nights.
        (WEEKEND, "2026-11-28 03:00", False),
        (WEEKEND, "2026-11-28 22:00", True),
        (WEEKEND, "2026-11-29 03:00", True),
        (WEEKEND, "2026-11-30 03:00", True),
        (WEEKEND, "2026-11-30 22:00", False),
        (CHRISTMAS, "2026-12-24 23:59:59", False),
        (CHRISTMAS, "2026-12-25 00:00", True),
        (CHRISTMAS, "2026-12-26 00:00", False),
        (CHRISTMAS, "2027-12-25 12:00", False),
        (CHRISTMAS_NIGHT, "2026-12-25 03:00", False),
        (CHRISTMAS_NIGHT, "2026-12-26 03:00", True),
        (WINTER_PEAK, "2026-11-25 17:00", True),
        (WINTER_PEAK, "2026-11-25 20:00", False),
        (WINTER_PEAK, "2026-11-28 18:00", False),
        (WINTER_PEAK, "2026-10-28 18:00", False),
        (WINTER_PEAK, "2027-03-31 18:00", True),
        (WINTER_PEAK, "2027-04-01 18:00", False),
        (LEAP_DAY, "2028-02-28 23:59:59", False),
        (LEAP_DAY, "2028-02-29 00:00", True),
        (LEAP_DAY, "2028-03-01 00:00", False),
        (FEBRUARY, "2028-02-29 23:59:59", True),
        (FEBRUARY, "2028-03-01 00:00", False),
        # The month is that of the moment, not of the evening before.
        (entry(1, hours="22:00-06:00", months="jun"), "2026-07-01 03:00", False),
        (entry(1, hours="22:00-06:00", months="jun"), "2026-06-01 03:00", True),
        (entry(1, days="fri-mon"), "2026-11-25 12:00", False),
        (entry(1, days="fri-mon"), "2026-11-23 12:00", True),
        (entry(1, hours="00:00-24:00"), "2026-11-23 23:59", True),
        (entry(1, hours="18:00-24:00"), "2026-11-24 00:00", False),
        (entry(1, hours="18:00-00:00"), "2026-11-23 23:59", True),
        (entry(1, hours="06:00-09:00,17:00-20:00"), "2026-11-23 18:00", True),
    ],
)
def test_conditions_hold_by_the_wall_clock(conditional: PriceEntry, moment: str, applies: bool) -> None:
    assert price(tariff(conditional, entry(0)), moment) == applies


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        # 2026-03-29: 02:00 becomes 03:00, so the hour from 02:00 is not there.
        ("2026-03-29 00:59:59", 0.0),
        ("2026-03-29 01:00:00", 0.0),
        # 2026-10-25: 03:00 becomes 02:00, so the hour from 02:00 is there twice.
        ("2026-10-24 23:59:59", 0.0),
        ("2026-10-25 00:00:00", 1.0),
        ("2026-10-25 00:59:59", 1.0),
        ("2026-10-25 01:00:00", 1.0),
        ("2026-10-25 01:59:59", 1.0),
        ("2026-10-25 02:00:00", 0.0),
    ],
)
def test_summer_time_takes_an_hour_and_gives_one(moment: str, expected: float) -> None:
    assert price(tariff(entry(1, hours="02:00-03:00"), entry(0)), moment, "UTC") == expected


def test_the_earlier_entry_counts_where_two_apply() -> None:
    both = tariff(entry(1, hours="10:00-14:00"), entry(2, hours="12:00-16:00"), entry(3))
    assert [price(both, f"2026-01-01 {hour}:00") for hour in (11, 13, 15, 17)] == [1, 1, 2, 3]


@pytest.mark.parametrize(
    ("one", "moment", "expected"),
    [
        (NIGHT, "2026-11-25 12:00", "2026-11-25 21:00"),
        (NIGHT, "2026-11-25 21:00", "2026-11-26 05:00"),
        (NIGHT, "2026-11-25 20:59:59.500", "2026-11-25 21:00"),
        # Over both changes of summer time: 06:00 is 05:00 UTC in winter, 04:00 in summer.
        (NIGHT, "2026-03-28 22:00", "2026-03-29 04:00"),
        (NIGHT, "2026-10-24 21:00", "2026-10-25 05:00"),
        # The price changes with the clock itself where its hour is half skipped, or shown twice.
        (tariff(entry(1, hours="02:30-05:00"), entry(0)), "2026-03-29 00:10", "2026-03-29 01:00"),
        (tariff(entry(1, hours="02:00-02:30"), entry(0)), "2026-10-25 00:10", "2026-10-25 00:30"),
        (tariff(entry(1, hours="02:00-02:30"), entry(0)), "2026-10-25 00:30", "2026-10-25 01:00"),
        (tariff(LEAP_DAY, entry(0)), "2028-02-01 00:00", "2028-02-28 23:00"),
        (tariff(LEAP_DAY, entry(0)), "2027-01-01 00:00", None),
        (tariff(LEAP_DAY, entry(0)), "2028-02-29 23:00", None),
        (tariff(entry(1)), "2026-01-01 00:00", None),
        (tariff(entry(1, hours="22:00-06:00"), entry(1)), "2026-01-01 00:00", None),
        (tariff(entry(1, "a", hours="22:00-06:00"), entry(1, "b")), "2026-01-01 00:00", "2026-01-01 05:00"),
        # Four hundred days are the limit, to the second.
        (tariff(entry(1, dates="2027-02-05"), entry(0)), "2026-01-01 23:00:00", "2027-02-04 23:00"),
        (tariff(entry(1, dates="2027-02-05"), entry(0)), "2025-12-31 23:00:00", "2027-02-04 23:00"),
        (tariff(entry(1, dates="2027-02-05"), entry(0)), "2025-12-31 22:59:59", None),
    ],
)
def test_the_next_change(one: Tariff, moment: str, expected: str | None) -> None:
    change = one.next_change(unix(moment))
    assert change == (None if expected is None else unix(expected))


def test_an_export_price_that_changes_is_a_change() -> None:
    sun = (entry(-0.02, hours="10:00-14:00"), entry(0.05))
    assert tariff(entry(1), export=sun).next_change(unix("2026-01-01 00:00")) == unix("2026-01-01 09:00")


ENTRIES = st.builds(
    PriceEntry,
    price=st.sampled_from([0.1, 0.2, 0.3]),
    hours=st.sampled_from(
        [(read.WHOLE_DAY,), *((read.hours(text),) for text in ("02:00-03:00", "23:30-00:30", "00:00-02:30"))]
    ),
    weekdays=st.sampled_from([read.weekdays("mon-sun"), read.weekdays("sat-sun")]),
)
ZONES = ("Europe/Berlin", "America/St_Johns", "America/Santiago", "Australia/Lord_Howe", "Asia/Kathmandu")


@settings(max_examples=60, deadline=None)
@given(
    entries=st.lists(ENTRIES, min_size=1, max_size=3),
    zone=st.sampled_from(ZONES),
    day=st.dates(date(2009, 1, 1), date(2028, 12, 31)),
)
def test_changes_are_those_that_looking_each_minute_finds(
    entries: list[PriceEntry], zone: str, day: date
) -> None:
    one = tariff(*entries, entry(0), zone=zone)
    begin = int(datetime(day.year, day.month, day.day, tzinfo=timezone.utc).timestamp())
    end = begin + 2 * 86400
    found = [moment for moment, _ in one.changes(begin, end)]
    minutes = range(begin, end + 60, 60)
    prices = [one.prices(minute).imported.price for minute in minutes]
    seen = [minutes[place] for place in range(1, len(minutes)) if prices[place] != prices[place - 1]]
    assert found == [moment for moment in seen if moment <= end]


# Entries that never apply


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([entry(1, hours="22:00-06:00"), entry(2)], ()),
        ([entry(1), entry(2)], (1,)),
        ([entry(1, hours="10:00-16:00"), entry(2, hours="12:00-13:00"), entry(3)], (1,)),
        ([entry(1, hours="10:00-16:00"), entry(2, hours="12:00-16:01"), entry(3)], ()),
        ([entry(1, hours="00:00-12:00"), entry(2, hours="12:00-24:00"), entry(3)], (2,)),
        ([entry(1, hours="22:00-06:00"), entry(2, hours="06:00-22:00"), entry(3)], (2,)),
        ([entry(1, days="mon-fri"), entry(2, days="sat-sun"), entry(3)], (2,)),
        # Saturday's night is not covered by Friday's, nor by what begins on Saturday.
        (
            [
                entry(1, days="mon-fri", hours="22:00-06:00"),
                entry(2, days="sat", hours="00:00-06:00"),
                entry(3),
            ],
            (1,),
        ),
        (
            [
                entry(1, days="mon-fri", hours="22:00-06:00"),
                entry(2, days="sun", hours="00:00-06:00"),
                entry(3),
            ],
            (),
        ),
        ([entry(1, months="apr-oct"), entry(2, months="nov-mar"), entry(3)], (2,)),
        ([entry(1, months="apr-oct"), entry(2, months="nov-feb"), entry(3)], ()),
        # 2026-12-25 is a Friday.
        ([entry(1, dates="2026-12-25", days="mon"), entry(2)], (0,)),
        ([entry(1, dates="2026-12-25", days="fri"), entry(2)], ()),
        ([entry(1, dates="2026-12-25", months="jan"), entry(2)], (0,)),
        ([entry(1, dates="2026-12-25"), entry(2, dates="2026-12-25", hours="10:00-11:00"), entry(3)], (1,)),
        ([entry(1, days="fri"), entry(2, dates="2026-12-25"), entry(3)], (1,)),
        ([entry(1, dates="2026-10-31", hours="22:00-06:00", months="nov"), entry(2)], ()),
        ([entry(1, dates="2001-01-01"), entry(2)], ()),
        # This hour was skipped on that day, in Berlin alone.
        ([entry(1, dates="2026-03-29", hours="02:00-03:00"), entry(2)], (0,)),
        ([entry(1, dates="2026-03-29", hours="02:00-03:01"), entry(2)], ()),
        # One minute of one weekday of one month is left for the second entry.
        (
            [
                entry(1, months="jan-jun,aug-dec"),
                entry(1, days="wed-mon"),
                entry(1, hours="00:00-12:00"),
                entry(1, hours="12:01-24:00"),
                entry(2),
            ],
            (),
        ),
    ],
)
def test_entries_that_never_apply_are_found(entries: list[PriceEntry], expected: tuple[int, ...]) -> None:
    assert never_applying(tuple(entries), BERLIN) == expected


def test_a_skipped_hour_is_one_of_its_zone() -> None:
    skipped = (entry(1, dates="2026-03-29", hours="02:00-03:00"), entry(2))
    assert never_applying(skipped, ZoneInfo("Etc/GMT-1")) == ()


# Texts


@pytest.mark.parametrize(
    ("reader", "good"),
    [
        (read.hours, ["22:00-06:00", "0:00-24:00", "00:00 - 06:30"]),
        (read.weekdays, ["mon", "Fri-Mon", "sat - sun"]),
        (read.months, ["jan", "nov-mar"]),
        (read.calendar_date, ["2026-12-25", "2028-02-29"]),
        (read.time_zone, ["Europe/Berlin", "Etc/GMT-1", "UTC"]),
        (read.currency, ["EUR"]),
    ],
)
def test_good_texts(reader: Callable[[str], object], good: list[str]) -> None:
    for text in good:
        reader(text)


@pytest.mark.parametrize(
    ("reader", "bad"),
    [
        (read.hours, ["22-6", "22:00", "22:60-23:00", "24:00-06:00", "22:00-24:01", "06:00-06:00", ""]),
        (read.weekdays, ["monday", "mon-fri-sun", "mon..fri", ""]),
        (read.months, ["november", "11", ""]),
        (read.calendar_date, ["2027-02-29", "25.12.2026", "1999-12-31", "2026-12-25T00:00", ""]),
        (read.time_zone, ["Europe/Bonn", "Europe", "../etc/passwd", "/etc/localtime", "", "\0"]),
        (read.currency, ["euro", "eur", "€", "EURO", ""]),
    ],
)
def test_bad_texts_are_told_with_what_to_write(reader: Callable[[str], object], bad: list[str]) -> None:
    for text in bad:
        with pytest.raises(ValueError, match=r"^(is not|begins and ends) .*; .*[0-9a-zA-Z]$"):
            reader(text)


# Samples


def shown(
    moment: str, collectors: tuple[str, ...] = COLLECTORS, told: str = "", **settings: object
) -> list[str]:
    gateway = configs.gateway(**settings)
    metrics = site_metrics(gateway, collectors, unix(moment, "Europe/Berlin"), told)
    text = render(metrics, Format.TEXT).decode()
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_samples_of_a_moment() -> None:
    full = Tariff(
        "night",
        "EUR",
        BERLIN,
        (entry(0.18, "night", hours="22:00-06:00"), entry(0.41, "peak", hours="17:00-20:00"), entry(0.32)),
        (entry(-0.02, hours="11:00-15:00"), entry(0.08)),
        0.45,
    )
    assert shown("2026-11-25 12:00", prices=full, capacity=48_600_000.0) == [
        "powerwall_site_utc_offset_seconds 3600.0",
        "powerwall_configured_capacity_joules 4.86e+07",
        'powerwall_tariff_info{currency="EUR",tariff="night"} 1.0',
        'powerwall_tariff_import_price{currency="EUR"} 0.32',
        'powerwall_tariff_export_price{currency="EUR"} -0.02',
        'powerwall_tariff_standing_charge{currency="EUR"} 0.45',
        'powerwall_tariff_import_period{period="night"} 0.0',
        'powerwall_tariff_import_period{period="peak"} 0.0',
        'powerwall_tariff_import_period{period="other"} 1.0',
        "powerwall_tariff_next_change_timestamp_seconds 1.7956152e+09",
    ]


def test_what_a_tariff_does_not_say_has_no_sample() -> None:
    assert shown("2026-07-01 12:00", prices=tariff(entry(0.3))) == [
        "powerwall_site_utc_offset_seconds 7200.0",
        'powerwall_tariff_info{currency="EUR",tariff="night"} 1.0',
        'powerwall_tariff_import_price{currency="EUR"} 0.3',
    ]
    assert shown("2026-07-01 12:00") == []


def test_the_gateways_own_zone_counts_before_that_of_its_tariff() -> None:
    lines = shown("2026-01-01 12:00", prices=NIGHT, timezone="Australia/Lord_Howe", told="Asia/Tokyo")
    assert lines[0] == "powerwall_site_utc_offset_seconds 39600.0"


@pytest.mark.parametrize(
    ("told", "offset"),
    [
        ("Asia/Tokyo", 32400),
        ("Mars/Olympus", None),
        ("../../etc/passwd", None),
        ("\0" * 300, None),
        ("", None),
    ],
)
def test_what_the_gateway_tells_counts_where_nothing_is_configured(told: str, offset: int | None) -> None:
    expected = [] if offset is None else [f"powerwall_site_utc_offset_seconds {float(offset)}"]
    assert shown("2026-01-01 12:00", told=told) == expected


def test_without_the_collector_the_offset_is_all_that_is_left() -> None:
    lines = shown("2026-01-01 12:00", ("core",), prices=NIGHT)
    assert lines == ["powerwall_site_utc_offset_seconds 3600.0"]


def test_the_offset_follows_summer_time_to_the_second() -> None:
    change = unix("2026-03-29 01:00")
    assert [utc_offset(BERLIN, change + step) for step in (-0.001, 0.0)] == [3600, 7200]


def test_names_are_declared_once() -> None:
    names = [name for name, _, _ in (*SITE_FAMILIES, *TARIFF_FAMILIES)]
    assert len(names) == len(set(names)) == 8


def test_a_year_of_hours_in_one_zone_has_a_price() -> None:
    moment = datetime(2027, 1, 1, tzinfo=timezone.utc)
    while moment.year == 2027:
        assert NIGHT.prices(moment.timestamp()).imported.name in {"night", "day"}
        moment += timedelta(hours=1)
