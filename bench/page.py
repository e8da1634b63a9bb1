"""The table of docs/performance.md, out of a report: ``python -m bench.page`` writes it anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from bench.report import shown

DOCS: Final = Path(__file__).parent.parent / "docs"
REPORT: Final = DOCS / "performance" / "report.json"
PAGE: Final = DOCS / "performance.md"
BEGIN: Final = "<!-- written by python -m bench.page -->\n"
END: Final = "<!-- until here -->\n"


def table(document: dict[str, Any]) -> str:
    """The machine and the figures, in Markdown; a goal that was missed in bold."""
    about = document["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in about["packages"].items())
    machine = (
        f"{about['cores']} cores ({about['architecture']}), {about['system']}, Python {about['python']}, "
        f"OpenSSL {about['openssl'].split(' ', 2)[1]}, {packages}."
    )
    lines = [
        machine,
        "",
        "| figure | value | beside it | ratio | goal |",
        "|---|---|---|---|---|",
        *map(_row, document["figures"]),
    ]
    return "\n".join(lines) + "\n"


def _row(entry: dict[str, Any]) -> str:
    unit = entry["unit"]
    goal = entry.get("goal", "")
    cells = (
        f"{entry['group']}: {entry['name']}",
        shown(entry["value"], unit),
        f"{shown(entry['reference'], unit)}, {entry['beside']}",
        f"{entry['ratio']:.2f}",
        goal if entry.get("met", True) else f"**{goal}, missed**",
    )
    return f"| {' | '.join(cells)} |"


def with_table(page: str, document: dict[str, Any]) -> str:
    """The page with the table of this report in its place."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + table(document) + END + after


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text("utf-8"), json.loads(REPORT.read_text("utf-8"))), "utf-8")
