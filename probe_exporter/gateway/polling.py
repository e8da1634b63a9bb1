"""A fetch in a thread: the driver for commands, which have no event loop."""

from __future__ import annotations

import contextlib
import os
import select
import time
from typing import TYPE_CHECKING

from probe_exporter.gateway.transport import LONGEST_POLL

if TYPE_CHECKING:
    from probe_exporter.gateway.fetch import Fetch


class Polling:
    """Gives a fetch its turns in the thread that calls `drive`, and polls between them."""

    def __init__(self) -> None:
        self._poller = select.poll()
        self._waker, self._alarm = os.pipe()
        os.set_blocking(self._waker, False)
        os.set_blocking(self._alarm, False)
        self._poller.register(self._waker, select.POLLIN)

    def add(self, descriptor: int) -> None:
        """Poll a descriptor."""
        self._poller.register(descriptor, select.POLLIN)

    def remove(self, descriptor: int) -> None:
        """Stop polling a descriptor."""
        self._poller.unregister(descriptor)

    def wake(self) -> None:
        """End the poll that is under way. Not after `close`."""
        with contextlib.suppress(BlockingIOError):  # then it is awake already
            os.write(self._alarm, b"!")

    def drive(self, fetch: Fetch) -> None:
        """Give turns until the fetch is over."""
        ready: list[int] = []
        while (due := fetch.turn(ready)) is not None:
            ready = self.wait(due)

    def wait(self, due: float) -> list[int]:
        """Return the descriptors that can be read; none at ``due``, in seconds of `time.monotonic`."""
        left = min(max(0.0, due - time.monotonic()), LONGEST_POLL)
        ready = [descriptor for descriptor, _ in self._poller.poll(left * 1000)]
        if self._waker in ready:
            os.read(self._waker, 4096)
        return ready

    def close(self) -> None:
        """Close what belongs to the driver alone."""
        os.close(self._waker)
        os.close(self._alarm)
