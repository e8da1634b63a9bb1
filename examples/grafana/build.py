"""Writes the files in dashboards/: `python build.py`, with grafana-foundation-sdk installed."""

from __future__ import annotations

from pathlib import Path

import fleet
import home
import site_board
from grafana_foundation_sdk.cog.encoder import JSONEncoder

FOLDER = Path(__file__).parent / "dashboards"
DASHBOARDS = {"fleet.json": fleet, "home.json": home, "site.json": site_board}


def rendered() -> dict[str, str]:
    """The text of each file by its name."""
    encoder = JSONEncoder(sort_keys=True, indent=2)
    return {name: encoder.encode(module.build().build()) + "\n" for name, module in DASHBOARDS.items()}


if __name__ == "__main__":
    for name, text in rendered().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
