"""A thread with an event loop: simulated gateways live in it, a thousand of them as well as one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, Final, TypeVar, final

T = TypeVar("T")

_PATIENCE: Final = 30.0
"""Seconds after which a loop that does not answer is an error instead of a hang."""


@final
class LoopThread:
    """Owns one event loop and the thread that runs it."""

    def __init__(self, name: str = "simulator") -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._loop = asyncio.new_event_loop()
        self._thread.start()

    def _serve(self) -> None:
        assert self._loop is not None
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    @property
    def here(self) -> bool:
        """Return True if the caller runs in this loop's thread."""
        return threading.current_thread() is self._thread

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the loop and wait for its result; not from the loop's own thread."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE)

    def close(self) -> None:
        """Stop the loop and end the thread; harmless when done twice, or before `start`."""
        if self._loop is None:
            return
        self.run(_drain())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE)
        self._loop.close()
        self._loop = None


async def _drain() -> None:
    """Cancel what still runs, and let closed transports finish."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for _ in range(3):
        await asyncio.sleep(0)
