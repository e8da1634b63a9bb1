"""Reading the configuration again while the exporter runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from probe_exporter.errors import ProbeExporterError

QUIET: Final = 0.2
"""Seconds without a further signal after which a reload begins: a storm of signals is one reload."""

LONGEST_STORM: Final = 5.0
"""Seconds after the first signal of a storm at which the reload begins all the same."""

Read = Callable[[], Callable[[], None]]
"""Reads the configuration and gives what puts it in force. Raises ProbeExporterError where it has a mistake."""


class Reloading:
    """Reloads, one at a time. ``failed`` is True if the last one failed.

    A thread reads the files: those of a large fleet take seconds.
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self._thread = ThreadPoolExecutor(1, "reload")
        self._thread.submit(int)  # starts the thread: later the system may allow none
        self._reading: Future[Callable[[], None]] | None = None
        self._turn = asyncio.Lock()
        self._closed = False
        self.failed = False
        self._first_signal = 0.0
        self._due: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[str | None]] = set()

    @property
    def busy(self) -> bool:
        """Return True if files are being read."""
        return self._reading is not None and not self._reading.done()

    def request(self) -> None:
        """Reload soon: once, however many ask."""
        if self._closed:
            return
        loop = asyncio.get_running_loop()
        if self._due is None:
            self._first_signal = loop.time()
        else:
            self._due.cancel()
        moment = min(loop.time() + QUIET, self._first_signal + LONGEST_STORM)
        self._due = loop.call_at(moment, self._begin)

    def _begin(self) -> None:
        self._due = None
        task = asyncio.get_running_loop().create_task(self.reload())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def reload(self) -> str | None:
        """Read and put in force. Return the mistakes of the configuration as text, None if there are none."""
        async with self._turn:
            try:
                self._reading = self._thread.submit(self._read)
                adopt = await asyncio.wrap_future(self._reading)
            except ProbeExporterError as error:
                self.failed = True
                return str(error)
            adopt()
            self.failed = False
            return None

    def close(self) -> None:
        """Stop reloading, without waiting for files that are being read."""
        self._closed = True
        if self._due is not None:
            self._due.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)
