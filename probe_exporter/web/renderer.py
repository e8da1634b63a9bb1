"""Answers about the whole fleet, rendered in one thread: at 5,000 gateways each would block the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from probe_exporter.web.messages import Answer, OverloadedError

MOST_WAITING: Final = 32
"""Renderings under way or in the queue; a request for a further one gets 503."""

MOST_KEPT: Final = 32
"""Answers that are kept; above it the oldest go first."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """An answer, what it was made of, and until when it may be given again (seconds of `time.monotonic`)."""

    answer: Answer
    source: object
    until: float


class Renderer:
    """Renders each answer once for all who ask for it meanwhile, and keeps it for a while."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "pages")
        self._thread.submit(int)  # starts the thread: later the system may allow none
        self._kept: dict[Hashable, _Kept] = {}
        self._under_way: dict[Hashable, asyncio.Future[Answer]] = {}

    async def answer(
        self, key: Hashable, render: Callable[[], Answer], source: object, seconds: float
    ) -> Answer:
        """Return the answer called ``key``: a kept one of the same ``source`` for ``seconds``, else a new one.

        Raises OverloadedError, and what ``render`` raises.
        """
        kept = self._kept.get(key)
        if kept is not None and kept.source is source and time.monotonic() < kept.until:
            return kept.answer
        task = (key, id(source))
        running = self._under_way.get(task)
        if running is None:
            running = self._begin(render)
            self._under_way[task] = running

            def ended(rendered: asyncio.Future[Answer]) -> None:
                del self._under_way[task]
                if seconds > 0.0 and not rendered.cancelled() and rendered.exception() is None:
                    self._keep(key, _Kept(rendered.result(), source, time.monotonic() + seconds))

            running.add_done_callback(ended)
        return await asyncio.shield(running)

    def _begin(self, render: Callable[[], Answer]) -> asyncio.Future[Answer]:
        if len(self._under_way) >= MOST_WAITING:
            raise OverloadedError
        try:
            return asyncio.get_running_loop().run_in_executor(self._thread, lambda: render().packed_ahead())
        except RuntimeError as error:  # closed: the server is shutting down
            raise OverloadedError from error

    def _keep(self, key: Hashable, kept: _Kept) -> None:
        self._kept.pop(key, None)
        self._kept[key] = kept
        while len(self._kept) > MOST_KEPT:
            del self._kept[next(iter(self._kept))]

    def close(self) -> None:
        """Stop rendering, without waiting for what is under way."""
        self._thread.shutdown(wait=False, cancel_futures=True)
