"""``gateway_files:``: which files there are, and the gateways that one of them lists."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from glob import has_magic
from pathlib import Path

from probe_exporter.config import schema, sections
from probe_exporter.config.settings import Config
from probe_exporter.config.sources import Files, Notes, Place, SourceFile, checked, said

_NO_LONGER_MATCHED = (
    "no file matches this pattern any more; is the folder mounted? To remove the last gateway on purpose, leave a file "
    "that holds `gateways: {}` there, or take this pattern out"
)


class GatewayFiles:
    """Finds the files, each once. A file or folder that is missing must not look like gateways that were removed.

    ``matched`` are the patterns that match a file, ``unmatched`` those that match none. ``previous`` is the
    configuration in force, if any: what matched then must match now.
    """

    def __init__(self, files: Files, mistakes: Notes, warnings: Notes, previous: Config | None) -> None:
        self.matched: list[str] = []
        self.unmatched: list[str] = []
        self._files = files
        self._mistakes = mistakes
        self._warnings = warnings
        self._matched_before = previous.matched if previous else ()

    def paths(self, place: Place, patterns: list[str]) -> Iterator[Path]:
        """Yield the files that the patterns name, without the file that names them."""
        seen = {os.path.realpath(place.source.path)}
        for index, pattern in enumerate(patterns):
            where = place if len(patterns) == 1 else place.below(index)
            for name in self._matching(where, str(place.source.path.parent / pattern)):
                if os.path.realpath(name) not in seen:
                    seen.add(os.path.realpath(name))
                    yield Path(name)

    def _matching(self, place: Place, pattern: str) -> list[str]:
        try:
            names = self._files.matching(pattern)
        except OSError as error:
            self._mistakes.add(
                place, f"a folder of this pattern cannot be listed: {said(error)}; check its permissions"
            )
            return []
        if names:
            self.matched.append(pattern)
        elif not has_magic(pattern):
            self._mistakes.add(
                place, "there is no such file; relative paths begin at the directory of this file"
            )
        elif pattern in self._matched_before:
            self._mistakes.add(place, _NO_LONGER_MATCHED)
        else:
            self.unmatched.append(pattern)
            self._warnings.add(place, "no file matches this pattern")
        return names

    def gateways_of(self, source: SourceFile) -> tuple[Place, Mapping[str, object]]:
        """Return the gateways that a file lists, with ``gateways:`` above them or without, and their places."""
        top, root = Place(source), source.root
        if root == "":
            self._mistakes.add(top, "is empty; write `gateways: {}` where no gateway is meant")
        if isinstance(root, dict) and root and _is_bare(root):
            return top, root
        file = sections.take(schema.GatewayFile, checked(top, schema.GATEWAY_FILE, root, self._mistakes))
        return top.below("gateways"), file.gateways


def _is_bare(root: Mapping[str, object]) -> bool:
    """Return True if a gateway file lists its gateways at the top, without ``gateways:`` above them."""
    known = {"gateways", "gateway", *schema.TOP.keys}
    return not known & root.keys() and all(isinstance(item, dict) or item == "" for item in root.values())
