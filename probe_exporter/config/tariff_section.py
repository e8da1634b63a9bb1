"""``tariffs.<name>:`` in a configuration: its keys, and the tariff that they make.

The values stay the texts that were typed, so that ``/config`` shows them; `built` makes a `Tariff` of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final

import voluptuous as vol

from probe_exporter.config import values
from probe_exporter.config.sections import Section, key, nested, show, take
from probe_exporter.config.values import Kind, one_or_many, text
from probe_exporter.tariffs import PriceEntry, Tariff, conditions, never_applying
from probe_exporter.tariffs.plan import EVERY_DAY, EVERY_MONTH

MOST_ENTRIES: Final = 100
MOST_NAMES: Final = 8
_REQUIRED: Final = ("currency", "timezone", "import")
_CONDITIONS: Final = ("hours", "days", "months", "dates")

Problem = tuple[tuple[str | int, ...], str]
"""The place of a mistake below ``tariffs.<name>:``, and its text."""


def _typed(reader: Callable[[str], object]) -> Callable[[object], str]:
    """Return the reader of a text that another reader understands; the text stays as it is."""

    def read(value: object) -> str:
        typed = text(value)
        try:
            reader(typed)
        except ValueError as error:
            raise vol.Invalid(str(error)) from None
        return typed

    return read


def _price(value: object) -> float:
    try:
        price = float(text(value))
    except ValueError:
        price = math.nan
    if not abs(price) <= 1e6:
        raise vol.Invalid("is not a price; write a number with a decimal point, such as 0.32")
    return price


def _period(value: object) -> str:
    name = text(value)
    if len(name) > 40:
        raise vol.Invalid("is longer than 40 characters; shorten it")
    return name


def _condition(takes: str, reader: Callable[[str], object]) -> Kind[list[str]]:
    read = one_or_many(_typed(reader))

    def some(value: object) -> list[str]:
        found = read(value)
        if not found:
            raise vol.Invalid("is an empty list; write a value or take the line out")
        return found

    return Kind(f"{takes} or list", some, lambda found: found[0] if len(found) == 1 else found)


@dataclass(frozen=True, slots=True)
class WrittenPrice:
    """An entry of ``import:`` or ``export:``. The first entry that applies counts; the last has no condition."""

    price: float | None = key(
        Kind("number", _price), None, "of a kWh; below 0 where it earns or costs the other way"
    )
    name: str | None = key(
        Kind("text", _period),
        None,
        f"of the period, at most {MOST_NAMES} in a tariff; equal names are one period",
    )
    hours: list[str] | None = key(
        _condition("`22:00-06:00`", conditions.hours),
        None,
        "of the wall clock; the beginning is included, the end is not; a span over midnight belongs to the day and "
        "date on which it begins",
    )
    days: list[str] | None = key(_condition("`mon-fri`", conditions.weekdays), None, "of the week")
    months: list[str] | None = key(
        _condition("`nov-mar`", conditions.months), None, "of the moment itself, over midnight too"
    )
    dates: list[str] | None = key(_condition("`2026-12-25`", conditions.calendar_date), None, "single days")

    def entry(self) -> PriceEntry:
        """Return the entry of a tariff that these texts describe."""
        assert self.price is not None
        hours = tuple(map(conditions.hours, self.hours or ["00:00-24:00"]))
        weekdays, months = (
            map(conditions.weekdays, self.days or []),
            map(conditions.months, self.months or []),
        )
        return PriceEntry(
            self.price,
            self.name or "",
            hours,
            frozenset[int]().union(*weekdays) or EVERY_DAY,
            frozenset[int]().union(*months) or EVERY_MONTH,
            frozenset(map(conditions.calendar_date, self.dates)) if self.dates else None,
        )


_WRITTEN: Final = nested(WrittenPrice)


def _priced(value: object) -> WrittenPrice:
    written = _WRITTEN.read(value)
    if written.price is None:
        raise vol.Invalid("has no price; write for example {price: 0.32}")
    return written


def _prices(value: object) -> list[WrittenPrice]:
    if not isinstance(value, list) or not value:
        raise vol.Invalid("must be a list of prices; write for example [{price: 0.32}]")
    if len(value) > MOST_ENTRIES:
        raise vol.Invalid(
            f"has more than {MOST_ENTRIES} entries; see docs/prices.md for prices by the half hour"
        )
    found, errors = [], []
    for index, item in enumerate(value):
        try:
            found.append(_priced(item))
        except vol.MultipleInvalid as several:
            for error in several.errors:
                error.prepend([index])
            errors += several.errors
        except vol.Invalid as error:
            error.prepend([index])
            errors.append(error)
    if errors:
        raise vol.MultipleInvalid(errors)
    return found


PRICES: Final = Kind("list of prices", _prices, lambda found: [show(one) for one in found])


@dataclass(frozen=True, slots=True)
class WrittenTariff:
    """``tariffs.<name>:``: what a kWh and a day cost."""

    currency: str | None = key(
        Kind("`EUR`", _typed(conditions.currency)), None, "three capital letters; required"
    )
    timezone: str | None = key(
        values.TIME_ZONE,
        None,
        "of the hours, days, months and dates; required. A meter that ignores summer time uses `Etc/GMT-1` or the like",
    )
    imported: list[WrittenPrice] | None = key(
        PRICES, None, "of what comes from the grid; required. The first that applies counts", name="import"
    )
    exported: list[WrittenPrice] | None = key(PRICES, None, "of what is fed into the grid", name="export")
    standing_charge: float | None = key(Kind("number", _price), None, "of a day, whatever is used")


TARIFF: Final = Section(WrittenTariff)
PRICE: Final = Section(WrittenPrice)


def written_tariff(found: dict[str, Any]) -> WrittenTariff:
    """Return the tariff as it was typed."""
    return take(WrittenTariff, found)


def built(name: str, written: WrittenTariff, keys: Collection[str]) -> Tariff | tuple[Problem, ...]:
    """Return the tariff that is in force, or every mistake in it that the section itself could not see.

    ``keys`` are those that the file has, valid or not: an invalid one is not reported as missing as well.
    """
    problems = tuple(_problems(written, keys))
    if problems or written.currency is None or written.timezone is None or not written.imported:
        return problems
    return Tariff(
        name,
        written.currency,
        conditions.time_zone(written.timezone),
        tuple(one.entry() for one in written.imported),
        tuple(one.entry() for one in written.exported or ()),
        written.standing_charge,
    )


def _problems(written: WrittenTariff, keys: Collection[str]) -> Iterator[Problem]:
    for required in _REQUIRED:
        if required not in keys:
            yield (), f"has no {required}; docs/prices.md shows whole tariffs"
    for direction, prices in (("import", written.imported), ("export", written.exported)):
        if prices:
            yield from _condition_problems(direction, prices, written.timezone)
    names = {one.name for one in (*(written.imported or ()), *(written.exported or ())) if one.name}
    if len(names) > MOST_NAMES:
        yield (), f"has more than {MOST_NAMES} names of prices; give one name to those of one period"


def _condition_problems(direction: str, prices: list[WrittenPrice], zone: str | None) -> Iterator[Problem]:
    last = len(prices) - 1
    for condition in _CONDITIONS:
        if getattr(prices[last], condition) is not None:
            problem = "the last price must have no condition; add one after it for the rest of the time"
            yield (direction, last, condition), problem
    entries = tuple(one.entry() for one in prices)
    for index in never_applying(entries, conditions.time_zone(zone or "UTC")):
        yield (
            (direction, index),
            "can never apply: the prices before it, or its own conditions, leave no moment; correct or remove it",
        )
