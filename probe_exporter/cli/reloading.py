"""Reading the configuration again: on a signal or a request, or because its files have changed."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from probe_exporter.cli import logs
from probe_exporter.errors import ConfigurationError

if TYPE_CHECKING:
    from probe_exporter.cli.options import Settings
    from probe_exporter.config import Config
    from probe_exporter.config.sources import Files
    from probe_exporter.fleet import Fleet
    from probe_exporter.telemetry import Telemetry

_log = logging.getLogger(__name__)

LOOK_INTERVAL: Final = 2.0
"""Seconds between two checks of the files; they are read when two checks in a row find the same change."""


class Reloader:
    """Reads the configuration again, all or nothing. ``files`` are those of the last attempt."""

    def __init__(
        self, settings: Settings, fleet: Fleet, telemetry: Telemetry, files: Files | None = None
    ) -> None:
        self._settings = settings
        self._fleet = fleet
        self._telemetry = telemetry
        self._files = files
        self._show_success(fleet.config)

    def read(self) -> Callable[[], Config]:
        """Return what puts the new configuration in force and returns it. Raises ConfigurationError, logged."""
        before = self._fleet.config
        try:
            # The same file again, even if another one has appeared beside it since.
            config = self._settings.read(before.path, previous=before, files=self._files)
        except ConfigurationError as error:
            self._telemetry.config_last_reload_successful.set(0)
            for mistake in error.mistakes:
                _log.error("reload failed, keeping the previous configuration: %s", mistake)
            raise
        return partial(self._adopt, config, before)

    def _adopt(self, config: Config, before: Config) -> Config:
        logs.warn_about(config.warnings, told=before.warnings)
        if config.web != before.web:
            _log.warning("web: what has changed here takes effect when the exporter is restarted")
        self._fleet.reload(config)
        self._show_success(config)
        _log.info("configuration reloaded", extra={"gateways": len(config.gateways)})
        return config

    def _show_success(self, config: Config) -> None:
        """Show a configuration as not wholly loaded while a pattern of it matches nothing."""
        if config.unmatched:
            self._telemetry.config_last_reload_successful.set(0)


class FileWatch(threading.Thread):
    """Requests a reload, by SIGHUP, when the files of the configuration have changed and no longer change."""

    def __init__(self, files: Files, interval: float = LOOK_INTERVAL) -> None:
        super().__init__(name="configuration files", daemon=True)
        self._files = files
        self._before = files.now()
        self._interval = interval
        self._ended = threading.Event()

    def run(self) -> None:
        """Check the files until `end`."""
        while not self._ended.wait(self._interval):
            self.look()

    def look(self) -> None:
        """Request a reload if there is a change that the previous check found already."""
        now = self._files.now()
        if now == self._before and now != self._files.as_read():
            _log.info("the files of the configuration have changed")
            os.kill(os.getpid(), signal.SIGHUP)
        self._before = now

    def end(self) -> None:
        """Stop checking the files."""
        self._ended.set()
        if self.is_alive():
            self.join()
