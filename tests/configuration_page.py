"""docs/configuration.md: the text as it stands, with the tables of keys made anew from the schema."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from probe_exporter.config.schema import SECTIONS
from probe_exporter.config.sections import Section

PAGE = Path(__file__).parent.parent / "docs/configuration.md"
_BLOCK = re.compile(
    r"(<!-- keys of ([^ ]+): written by `make docs` -->\n).*?(<!-- end of keys -->)", re.DOTALL
)


def markdown() -> str:
    """Return the page, every table current. Raises KeyError where it has a table of an unknown section."""
    text = PAGE.read_text(encoding="utf-8")
    return _BLOCK.sub(lambda match: match[1] + table(SECTIONS[match[2]]) + match[3], text)


def sections() -> set[str]:
    """Return the names of the sections whose tables the page has."""
    return {match[2] for match in _BLOCK.finditer(PAGE.read_text(encoding="utf-8"))}


def table(section: Section) -> str:
    """Return the keys of one section, a line each."""
    return "\n".join(["| key | takes | default | meaning |", "|---|---|---|---|", *_rows(section), ""])


def _rows(section: Section) -> Iterator[str]:
    for key in section.keys.values():
        default = f"`{key.default}`" if key.default_is_typed else key.default
        yield f"| `{key.name}` | {key.kind.takes} | {default} | {key.meaning} |"


if __name__ == "__main__":
    sys.stdout.write(markdown())
