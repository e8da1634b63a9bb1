"""Runs on the event loop: the driver that gives each its turns there, and wakes it from other threads."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from probe_exporter.errors import NoThreadError
from probe_exporter.gateway.fetch import Fetch
from probe_exporter.gateway.transport import LONGEST_POLL
from probe_exporter.probe.run import Run


class LoopDriver:
    """Gives the fetch of one run its turns on the event loop. ``on_end`` is called when there are no more."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, run: Run, on_end: Callable[[LoopDriver], None]
    ) -> None:
        self._loop = loop
        self._run = run
        self._on_end = on_end
        self._timer: asyncio.TimerHandle | None = None
        self._fetch: Fetch | None = None

    def start(self) -> None:
        """Begin the fetch with its first turn. Raises NoThreadError."""
        self._fetch = self._run.gateway.begin(self._run, self)
        try:
            self._look_again(self._fetch.turn())
        except NoThreadError:
            self.close()
            raise
        except Exception as error:  # noqa: BLE001  # as in `_turn`
            self._run.end_by(error)
            self.close()

    def close(self) -> None:
        """End it where it is. On the loop, or after the loop has ended."""
        fetch, self._fetch = self._fetch, None
        if fetch is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._run.gateway.end(fetch)
        self._on_end(self)

    # The watch of the fetch

    def add(self, descriptor: int) -> None:
        """Look at a descriptor."""
        self._loop.add_reader(descriptor, self._turn, descriptor)

    def remove(self, descriptor: int) -> None:
        """Stop looking at it."""
        self._loop.remove_reader(descriptor)

    def wake(self) -> None:
        """Give a turn soon. Called in any thread."""
        with contextlib.suppress(RuntimeError):  # the loop has ended, and with it everything on it
            self._loop.call_soon_threadsafe(self._turn)

    # Turns

    def _turn(self, *ready: int) -> None:
        if self._fetch is None:
            return
        try:
            self._look_again(self._fetch.turn(ready))
        except Exception as error:  # noqa: BLE001  # of one gateway; the others go on
            self._run.end_by(error)
            self.close()

    def _look_again(self, due: float | None) -> None:
        """Give a turn at ``due``, unless one is due before: it will look again then. At None the fetch is over."""
        if due is None:
            self.close()
            return
        due = min(due, time.monotonic() + LONGEST_POLL)
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        self._turn()
