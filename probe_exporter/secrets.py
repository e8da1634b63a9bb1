"""Secrets that do not show themselves.

``Secret`` wraps a text and shows it to nobody who does not call ``reveal``: not to ``repr``, ``str``, ``format``,
``%``, ``json``, a pickle or a template. It does not subclass ``str``, because a subclass leaks in most of these.
"""

from __future__ import annotations

import hmac
from typing import NoReturn

MASK = "<secret>"


class Secret:
    """One secret text. Equal secrets are equal and hash alike; nothing but ``reveal`` gives the text."""

    __slots__ = ("__text",)

    def __init__(self, text: str) -> None:
        self.__text = text

    def reveal(self) -> str:
        """The text itself; for the one place that must send it."""
        return self.__text

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __bool__(self) -> bool:
        return bool(self.__text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(_octets(self.__text), _octets(other.__text))

    def __hash__(self) -> int:
        return hash((Secret, self.__text))

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret cannot be pickled or copied")

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
