"""YAML in which every scalar is the text that was typed, and everything has its line.

``012345`` stays ``012345`` and ``no`` stays ``no``: the schema converts, not YAML. Duplicate keys, tags, keys that are
not text, deep nesting and aliases that explode are mistakes. Problems are worded without any value of the file, since
the value might be a password. The input is read event by event, so no input can exhaust the stack.
"""

from __future__ import annotations

import collections.abc
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

import yaml

from probe_exporter.errors import Mistake

DEEPEST = 32
MOST_ALIASED_NODES = 200_000
HIDDEN = "\0"
"""A step of a path that ``show_path`` does not show."""
QUOTE_HINT = "a value that begins with one of ! & * % @ ` { [ # needs quotes"

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_QUOTED = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_TIGHT_COMMENT = re.compile(r"[ \t]+#[^\s#]")
_TAB_INDENT = re.compile(r" *\t")
_NOT_EXPANDED = (
    "has the shape ${NAME}; start with --config.expand-environment-variables to have the variable put in, or write "
    "the value itself (a password that looks so goes into a login_password_file)"
)
_PLAIN_TAGS = {None, "!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}
_SHOWN_KEY = re.compile(
    r"[\w .@/+-]{1,128}"  # names of settings, modules, gateways
    r"|[A-Za-z0-9.-]{1,253}:[0-9]{1,5}|\[?[0-9A-Fa-f:.]{2,45}\]?(?::[0-9]{1,5})?"  # an address used as a name
)

Variables: TypeAlias = "collections.abc.Mapping[str, str]"
Path: TypeAlias = "tuple[str | int, ...]"
Value: TypeAlias = "str | Mapping | Sequence"


class CommentedText(str):
    """An unquoted text with a comment that begins directly after it: ``ab #12``. The comment may be part of it."""

    __slots__ = ()


class Mapping(dict[str, "Value"]):
    """A mapping; ``lines`` has the line of each key, counted from 1."""

    __slots__ = ("lines",)

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, int] = {}


class Sequence(list["Value"]):
    """A list; ``lines`` has the line of each item, counted from 1."""

    __slots__ = ("lines",)

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[int] = []


@dataclass(frozen=True, slots=True)
class Document:
    """The content of a file (an empty text where there is none) and its mistakes as YAML."""

    value: Value
    mistakes: tuple[Mistake, ...]


def read_yaml(text: str, file: str, variables: Variables | None = None) -> Document:
    """Return the content of one YAML text. Never raises on content; after a syntax error the value is empty.

    ``${NAME}`` in a value becomes that variable of ``variables``; without them it is a mistake.
    """
    lines = text.splitlines()
    builder = _Builder(file, lines, variables)
    odd = _UNPRINTABLE.search(text)
    if odd is not None:
        line = text.count("\n", 0, odd.start()) + 1
        builder.report(line, (), "a control character, which YAML does not allow; remove it")
        return Document("", tuple(builder.mistakes))
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except _StopReadingError:
        return Document("", tuple(builder.mistakes))
    except yaml.YAMLError as error:
        builder.mistakes.append(_syntax_mistake(error, file, lines))
        return Document("", tuple(builder.mistakes))
    return Document(builder.root, tuple(builder.mistakes))


def line_of(value: Value, path: Path) -> int | None:
    """Return the line of the value at ``path``, or of the nearest value above it that exists."""
    line = None
    for step in path:
        below = _child(value, step)
        if below is None:
            break
        line, value = below
    return line


def _child(value: Value, step: str | int) -> tuple[int, Value] | None:
    if isinstance(value, Mapping) and isinstance(step, str) and step in value:
        return value.lines[step], value[step]
    if isinstance(value, Sequence) and isinstance(step, int) and step < len(value):
        return value.lines[step], value[step]
    return None


def value_at(value: Value, path: Path) -> Value | None:
    """Return the value at ``path``, or None."""
    for step in path:
        below = _child(value, step)
        if below is None:
            return None
        _, value = below
    return value


def show_path(path: Path) -> str:
    """``gateways.home.gateway_address[1]``; a key that might be a misplaced value is shown as ``?``."""
    parts: list[str] = []
    for step in path:
        if isinstance(step, int):
            parts.append(f"[{step}]")
        else:
            parts.append(("." if parts else "") + (step if _SHOWN_KEY.fullmatch(step) else "?"))
    return "".join(parts)


class _StopReadingError(Exception):
    """Reading on is pointless or dangerous; the mistake was noted."""


@dataclass(slots=True)
class _Frame:
    """A collection that is still open. ``key`` is the key whose value comes next; None where a key comes next."""

    value: Mapping | Sequence
    line: int
    anchor: str | None
    key: str | None = None
    discard: bool = False  # the next value belongs to a key that was refused
    weight: int = 1
    merged: list[Value] = field(default_factory=list)
    merge_line: int = 0


@dataclass(slots=True)
class _Anchored:
    value: Value
    weight: int


class _Builder:
    """Puts a value together from events."""

    def __init__(self, file: str, lines: list[str], variables: Variables | None) -> None:
        self.root: Value = ""
        self.mistakes: list[Mistake] = []
        self._file = file
        self._lines = lines
        self._variables = variables
        self._frames: list[_Frame] = []
        self._anchors: dict[str, _Anchored] = {}
        self._documents = 0
        self._aliased = 0

    def report(self, line: int | None, path: Path, problem: str) -> None:
        self.mistakes.append(Mistake(self._file, line, show_path(path), problem))

    def take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            self._open(event)
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            self._close()
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                self.report(_line(event), (), "a second YAML document; put everything into one, without ---")
                raise _StopReadingError

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        line = _line(event)
        self._check_tag(event, line)
        text: str = event.value
        if _SURROGATE.search(text):
            self.report(
                line, self._path(), "half a character (a surrogate escape); write the character itself"
            )
            text = ""
        if text == "<<" and not event.style and self._awaits_key():
            frame = self._frames[-1]
            frame.key, frame.merge_line = "<<", line
            return
        if not self._awaits_key():
            text = self._expanded(text, line)
            if text and not event.style and self._comment_follows(event):
                text = CommentedText(text)
        if event.anchor:
            self._anchors[event.anchor] = _Anchored(text, 1)
        self._add(text, line, 1)

    def _expanded(self, text: str, line: int) -> str:
        """Return the text with its variables put in; a text with one that is missing is a mistake."""
        if not _VARIABLE.search(text):
            return text
        if self._variables is None:
            self.report(line, self._path(), _NOT_EXPANDED)
        elif any(name not in self._variables for name in _VARIABLE.findall(text)):
            self.report(line, self._path(), "the environment variable that is named here is not set; set it")
        else:
            variables = self._variables
            return _VARIABLE.sub(lambda match: variables[match[1]], text)
        return text

    def _comment_follows(self, event: yaml.ScalarEvent) -> bool:
        """Return True if a # that no space follows ends this unquoted text."""
        mark = event.end_mark
        rest = "" if mark is None or mark.line >= len(self._lines) else self._lines[mark.line][mark.column :]
        return _TIGHT_COMMENT.match(rest) is not None

    def _open(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent) -> None:
        line = _line(event)
        if len(self._frames) >= DEEPEST:
            self.report(line, (), f"nested more than {DEEPEST} levels deep; no setting needs that")
            raise _StopReadingError
        self._check_tag(event, line)
        value = Mapping() if isinstance(event, yaml.MappingStartEvent) else Sequence()
        self._frames.append(_Frame(value, line, event.anchor))

    def _close(self) -> None:
        frame = self._frames.pop()
        if frame.merged and isinstance(frame.value, Mapping):
            self._merge(frame, frame.value)
        if frame.anchor:
            self._anchors[frame.anchor] = _Anchored(frame.value, frame.weight)
        self._add(frame.value, frame.line, frame.weight)

    def _alias(self, event: yaml.AliasEvent) -> None:
        line = _line(event)
        anchored = self._anchors.get(event.anchor or "")
        if anchored is None:
            self.report(line, self._path(), f"an alias to nothing that is complete above it; {QUOTE_HINT}")
            anchored = _Anchored("", 1)
        self._aliased += anchored.weight
        if self._aliased > MOST_ALIASED_NODES:
            self.report(line, self._path(), "aliases repeat too much; write out what is needed")
            raise _StopReadingError
        self._add(anchored.value, line, anchored.weight)

    def _add(self, value: Value, line: int, weight: int) -> None:
        if not self._frames:
            self.root = value
            return
        frame = self._frames[-1]
        frame.weight += weight
        if isinstance(frame.value, Sequence):
            frame.value.append(value)
            frame.value.lines.append(line)
        elif self._awaits_key():
            self._add_key(frame, frame.value, value, line)
        elif frame.discard:
            frame.discard = False
        elif frame.merge_line:
            frame.merged.append(value)
            frame.key, frame.merge_line = None, 0
        else:
            assert frame.key is not None
            frame.value[frame.key] = value
            frame.key = None

    def _add_key(self, frame: _Frame, mapping: Mapping, key: Value, line: int) -> None:
        if not isinstance(key, str):
            self.report(line, self._path(), f"a list or mapping cannot be a key; {QUOTE_HINT}")
            frame.discard = True
        elif key in mapping.lines:
            path = (*self._path(), key)
            self.report(line, path, f"written twice (first in line {mapping.lines[key]}); take one out")
            frame.discard = True
        else:
            frame.key = key
            mapping.lines[key] = line

    def _merge(self, frame: _Frame, mapping: Mapping) -> None:
        """``<<``: what is written out takes precedence, then the first of the merged mappings."""
        for source in _flattened(frame.merged):
            if not isinstance(source, Mapping):
                self.report(frame.line, self._path(), "<< takes an alias to a mapping, or a list of such")
                continue
            for key, value in source.items():
                if key not in mapping:
                    mapping[key] = value
                    mapping.lines[key] = source.lines[key]

    def _awaits_key(self) -> bool:
        if not self._frames:
            return False
        frame = self._frames[-1]
        return isinstance(frame.value, Mapping) and frame.key is None and not frame.discard

    def _path(self) -> Path:
        """Return where in the file the builder is: the key or index that is being filled in each open collection."""
        path: list[str | int] = []
        for frame in self._frames:
            if isinstance(frame.value, Sequence):
                path.append(len(frame.value))
            elif frame.key is not None:
                path.append(frame.key)
        return tuple(path)

    def _check_tag(self, event: yaml.CollectionStartEvent | yaml.ScalarEvent, line: int) -> None:
        if event.tag not in _PLAIN_TAGS:
            self.report(line, self._path(), f"a YAML tag, which has no use here; {QUOTE_HINT}")


def _flattened(values: list[Value]) -> Iterator[Value]:
    for value in values:
        if isinstance(value, Sequence):
            yield from value
        else:
            yield value


def _line(event: yaml.Event) -> int:
    mark = event.start_mark
    return 1 if mark is None else mark.line + 1


def _syntax_mistake(error: yaml.YAMLError, file: str, lines: list[str]) -> Mistake:
    if not isinstance(error, yaml.MarkedYAMLError):
        return Mistake(file, None, "", f"is not valid YAML; check indentation and quotes: {QUOTE_HINT}")
    # The parser quotes the text that it could not read, which may be part of a password.
    problem = " ".join(_QUOTED.sub("", error.problem or "").split())
    mark = error.problem_mark or error.context_mark
    line = None if mark is None else mark.line + 1
    said = f" ({problem})" if problem else ""
    if _TAB_INDENT.match(_text_of(lines, error.problem_mark)):
        remedy = "a tab is in the indentation; indent with spaces"
    elif "escape" in problem or "hexdecimal" in problem or _ends_in_backslash(error, lines):
        remedy = "a backslash in double quotes begins an escape sequence; put the value in single quotes"
    else:
        remedy = f"check indentation and quotes: {QUOTE_HINT}"
    return Mistake(file, line, "", f"is not valid YAML{said}; {remedy}")


def _ends_in_backslash(error: yaml.MarkedYAMLError, lines: list[str]) -> bool:
    """Return True if a quote was not closed because a backslash is before it."""
    return "quoted scalar" in (error.context or "") and '\\"' in _text_of(lines, error.context_mark)


def _text_of(lines: list[str], mark: yaml.Mark | None) -> str:
    return lines[mark.line] if mark is not None and mark.line < len(lines) else ""
