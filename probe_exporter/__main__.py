"""``python -m probe_exporter``."""

from __future__ import annotations

from probe_exporter.cli import main

if __name__ == "__main__":
    main()
