"""The declaration of a section of the configuration: a frozen dataclass whose fields are its keys.

::

    @dataclass(frozen=True, slots=True)
    class Web:
        metrics_path: str = key(METRICS_PATH, "/metrics", "where the exporter's own metrics are")

A `Section` reads, shows and documents what the fields of one or several such classes declare.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import voluptuous as vol

from probe_exporter.config.values import HiddenKeyError, Kind, as_mapping, suggestion

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")
Part = TypeVar("Part", bound="DataclassInstance")

_METADATA = "key"
_SETTING = re.compile(r"[a-z][a-z_-]{0,39}")
_CREDENTIALS = ("login_password", "login_password_file", "gateway_password", "gateway_password_file")


@dataclass(frozen=True, slots=True)
class Key:
    """A key: its name, what it takes, the default as it would be typed, and a sentence on it.

    Where ``default_is_typed`` is false, ``default`` says in words what holds unless the key is written.
    """

    name: str
    kind: Kind[Any]
    default: str
    default_is_typed: bool
    meaning: str


def key(kind: Kind[T], default: str | None, meaning: str, *, name: str = "", otherwise: str = "") -> Any:
    """Declare a field of a dataclass as a key.

    ``default`` is typed as a user would; None where the value is None unless written, and ``otherwise`` says what
    holds then. ``name`` is that of the key where the field has another one.
    """
    metadata = {_METADATA: Key(name, kind, default or otherwise, bool(default), meaning)}
    if default == "":  # nothing is written: an empty mapping, which instances must not share
        return dataclasses.field(default_factory=lambda: kind.read(""), metadata=metadata)
    return dataclasses.field(default=None if default is None else kind.read(default), metadata=metadata)


def declared(part: type[DataclassInstance]) -> Iterator[tuple[str, Key]]:
    """Yield each field of a class that is a key, with that key."""
    for field in dataclasses.fields(part):
        found: Key | None = field.metadata.get(_METADATA)
        if found is not None:
            yield field.name, dataclasses.replace(found, name=found.name or field.name)


def take(part: type[Part], found: Mapping[str, Any], **others: Any) -> Part:
    """Make one part of what was read of a section: defaults where nothing was written, ``others`` as given."""
    written = {field: found[key.name] for field, key in declared(part) if key.name in found}
    return part(**written, **others)


def show(part: DataclassInstance) -> dict[str, object]:
    """Return the keys of a part and what may be shown of their values, without those that are None or empty."""
    shown = {}
    for field, key in declared(type(part)):
        value = getattr(part, field)
        if value is not None and value != {}:
            shown[key.name] = key.kind.show(value)
    return shown


class Section:
    """The keys of one or several classes. All of them may be left out."""

    def __init__(self, *parts: type[DataclassInstance]) -> None:
        self.keys = {key.name: key for part in parts for _, key in declared(part)}
        checks: dict[object, Any] = {vol.Optional(key.name): key.kind.read for key in self.keys.values()}
        self._schema = vol.Schema({**checks, vol.Extra: _unknown})

    def read(self, value: object) -> dict[str, Any]:
        """Return the values of the keys that are written. Raises MultipleInvalid with every mistake."""
        try:
            found: dict[str, Any] = self._schema(dict(as_mapping(value)))
        except vol.MultipleInvalid as error:
            raise vol.MultipleInvalid([self._worded(one) for one in error.errors]) from None
        return found

    def _worded(self, error: vol.Invalid) -> vol.Invalid:
        if not isinstance(error, _UnknownKeyError):
            return error
        key = str(error.path[-1])
        if _may_hold_a_value(key):
            problem = "unknown key (not shown: it may hold a value); is a space missing after a colon?"
            return HiddenKeyError(problem, error.path)
        hint = suggestion(key, self.keys) or f"; known are {', '.join(self.keys)}"
        return vol.Invalid(f"unknown key{hint}", error.path)


def nested(part: type[Part]) -> Kind[Part]:
    """Return the kind of a section inside another one: an instance of ``part``."""
    section = Section(part)
    return Kind("section", lambda value: take(part, section.read(value)), show)


class _UnknownKeyError(vol.Invalid):
    pass


def _unknown(value: object) -> object:
    raise _UnknownKeyError("unknown key")


def _may_hold_a_value(key: str) -> bool:
    """Return True if a slip (a colon or a space lost) may have glued a password to this unknown key."""
    credential = key.startswith(("login_p", "gateway_p")) and not difflib.get_close_matches(
        key, _CREDENTIALS, n=1, cutoff=0.9
    )
    return credential or not _SETTING.fullmatch(key)


def steps(error: vol.Invalid) -> tuple[str | int, ...]:
    """Return where in the checked value the mistake is: keys and indexes."""
    return tuple(step if isinstance(step, int) else str(step) for step in error.path)


def called(variables: Mapping[str, str], *keys: str) -> str:
    """Return how a user writes these keys, joined by "or".

    Where ``variables`` stand in for a file, they are written by these; a key without a variable is left out.
    """
    return " or ".join(variables.get(key, key) for key in keys if key in variables or not variables)


def without_empty(value: object) -> object:
    """Return a section of the Go exporter without its empty keys, which count as not written there."""
    return {key: item for key, item in value.items() if item != ""} if isinstance(value, dict) else value
