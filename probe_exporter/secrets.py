"""Secrets that cannot be shown by accident.

``Secret`` wraps a text and gives it by ``reveal`` only: not by ``repr``, ``str``, ``format``,
``%``, ``json``, a pickle or a template. It does not subclass ``str``, because a subclass leaks in most of these.
``read_secret_file`` reads one from a file.
"""

from __future__ import annotations

import hmac
import re
from pathlib import Path
from typing import NoReturn

from probe_exporter.files import read_regular

MASK = "<secret>"
_LONGEST_SECRET = 4096
_CONTROL = re.compile("[\x00-\x1f\x7f\ufeff]")


class Secret:
    """A secret text. Equal secrets are equal and hash alike; nothing but ``reveal`` gives the text."""

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


def read_secret_file(path: Path) -> Secret:
    """The content of a file without one newline at its end.

    Raises OSError where it cannot be read, and ValueError, with a sentence that says what to do, where it holds no
    password. A pipe or device is refused, because reading one could take for ever.
    """
    content = read_regular(path, _LONGEST_SECRET + 1, "name a file with the password")
    if len(content) > _LONGEST_SECRET:
        raise ValueError(
            f"the file is longer than {_LONGEST_SECRET} bytes; it must hold the password and nothing else"
        )
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("the file is not UTF-8 text; it must hold the password and nothing else") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if _CONTROL.search(text):
        raise ValueError(
            "the file holds more than one line, a byte order mark or another control character; "
            "it must hold the password and nothing else"
        )
    if not text:
        raise ValueError("the file is empty; write the password into it")
    return Secret(text)
