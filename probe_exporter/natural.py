"""The order in which people count: site-2 before site-10."""

from __future__ import annotations

import re
from typing import Final

_NUMBER: Final = re.compile(r"([0-9]+)")


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return the key by which names are sorted: numbers by value, letters whatever their case, the text itself last."""
    parts = _NUMBER.split(name.casefold())
    counted = [(0, int(part[:18]), part) if index % 2 else (1, 0, part) for index, part in enumerate(parts)]
    return (*counted, (2, 0, name))
