"""The strategies of a simulated site beside feeding its house: a battery that follows prices, a car that feeds in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from probe_exporter.config.sections import take
from probe_exporter.config.tariff_section import TARIFF, WrittenTariff, built
from probe_exporter.tariffs import Tariff

Strategy = Callable[[float, float], float]
"""From a moment (Unix seconds) and what the house lacks (W, below 0 for a surplus) to what the batteries must give."""

Load = Callable[[float], float]
"""From a moment to the W of an appliance, below 0 while it feeds in."""

VILLA_TARIFF: Final[dict[str, Any]] = {
    "currency": "EUR",
    "timezone": "Europe/Berlin",
    "import": [
        {"name": "night", "price": "0.18", "hours": "22:00-06:00"},
        {"name": "peak", "price": "0.41", "hours": "17:00-20:00"},
        {"name": "day", "price": "0.32"},
    ],
    "export": [{"price": "0.38", "hours": "17:00-20:00"}, {"price": "0.08"}],
    "standing_charge": "0.45",
}
"""The prices of the villa, as a configuration has them."""

AS_MUCH_AS_IT_CAN: Final = 1e9


def villa_tariff() -> Tariff:
    """Return the tariff of the villa."""
    made = built("default", take(WrittenTariff, TARIFF.read(VILLA_TARIFF)), VILLA_TARIFF)
    assert isinstance(made, Tariff)
    return made


def following(tariff: Tariff) -> Strategy:
    """Return the strategy of batteries that charge at the lowest price of import and sell at the highest."""
    prices = [entry.price for entry in tariff.imported]
    lowest, highest = min(prices), max(prices)

    def wanted(moment: float, gap: float) -> float:
        price = tariff.prices(moment).imported.price
        if price == lowest:
            return -AS_MUCH_AS_IT_CAN
        return AS_MUCH_AS_IT_CAN if price == highest else gap

    return wanted


def car_feeding_in(begin: float, end: float, watts: float) -> Load:
    """Return the load of a car that feeds the house from ``begin`` to ``end``, behind no meter of its own."""
    return lambda moment: -watts if begin <= moment < end else 0.0
