"""``probe_exporter tariff``: which price applies when, to proofread a plan."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import click

from probe_exporter.cli.options import Refusal, Settings, choose_targets, complete_target

if TYPE_CHECKING:
    from probe_exporter.tariffs import Prices, Tariff

_FORM: Final = "%a %Y-%m-%d %H:%M:%S %z"
"""With the offset, which tells apart the two hours of the night on which the clock is put back."""

_HEADINGS: Final = ("FROM", "PERIOD", "IMPORT", "EXPORT")


@click.command()
@click.argument("target", shell_complete=complete_target)
@click.option(
    "--at",
    "at",
    metavar="TIME",
    help="Begin at this time by the tariff's clock, such as 2027-03-28 or 2027-03-28T01:30 (or with an offset, such as "
    "2027-03-28T01:30Z). Default: now.",
)
@click.option(
    "--days", type=click.IntRange(1, 400), default=7, show_default=True, help="Number of days to look ahead."
)
@click.pass_obj
def tariff(settings: Settings, target: str, at: str | None, days: int) -> None:
    """Show which price of electricity applies when.

    TARGET is a configured gateway, by name or address. One line for each change of a price or period, by the
    tariff's own clock. Sends no request to a gateway.
    """
    settings.start_logging("warning")
    config = settings.load()
    (name,) = choose_targets(config, (target,), everything=False)
    prices = config.gateways[name].prices
    if prices is None:
        raise Refusal(
            f"{config.path}: {name} has no tariff; write one below tariffs:, as docs/prices.md shows"
        )
    begin = time.time() if at is None else _moment(at, prices)
    end = (datetime.fromtimestamp(begin, prices.zone) + timedelta(days=days)).timestamp()
    click.echo(_head(name, prices))
    for line in _table(list(_rows(prices, begin, end))):
        click.echo(line)
    click.echo(_foot(prices, end))


def _moment(typed: str, prices: Tariff) -> float:
    """Return the Unix seconds of a time, by the tariff's clock where it has no offset. Raises Refusal."""
    try:
        wall = datetime.fromisoformat(re.sub("[zZ]$", "+00:00", typed))
    except ValueError:
        wall = datetime.min
    if not 1970 < wall.year < 2100:
        raise Refusal("--at is not a time from 1971 to 2099; write it as 2027-03-28 or 2027-03-28T01:30")
    return (wall if wall.tzinfo is not None else wall.replace(tzinfo=prices.zone)).timestamp()


def _head(name: str, prices: Tariff) -> str:
    charge = (
        "none" if prices.standing_charge is None else f"{prices.standing_charge:g} {prices.currency} a day"
    )
    return (
        f"{name}: tariff {prices.name}, {prices.currency} per kWh, clock of {prices.zone.key}, "
        f"standing charge {charge}\n"
    )


def _rows(prices: Tariff, begin: float, end: float) -> Iterator[tuple[str, ...]]:
    yield _row(prices, begin, prices.prices(begin))
    for moment, changed in prices.changes(begin, end):
        yield _row(prices, moment, changed)


def _row(prices: Tariff, moment: float, holding: Prices) -> tuple[str, ...]:
    wall = datetime.fromtimestamp(moment, prices.zone)
    exported = "-" if holding.exported is None else f"{holding.exported.price:g}"
    when = wall.strftime(_FORM)
    return when, holding.imported.name or "-", f"{holding.imported.price:g}", exported


def _table(rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in (_HEADINGS, *rows)) for column in range(len(_HEADINGS))]
    for row in (_HEADINGS, *rows):
        texts = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
        numbers = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
        yield "  ".join([*texts, *numbers])


def _foot(prices: Tariff, end: float) -> str:
    following = prices.next_change(end)
    if following is None:
        return "\nAfter that nothing changes for 400 days."
    wall = datetime.fromtimestamp(following, prices.zone)
    return f"\nThe next change after that: {wall.strftime(_FORM)}"
