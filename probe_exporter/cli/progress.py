"""The same work for many targets: side by side, with a progress bar on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import click

PARALLEL = 32
"""The number of targets that are processed at once."""

T = TypeVar("T")


def over_targets(
    names: Sequence[str], work: Callable[[str], T], label: str
) -> Iterator[tuple[str, T | Exception]]:
    """Return each name with what ``work`` returned or raised for it, in the order of the names, when all are done.

    The bar goes to standard error, and only where that is a terminal and there is more than one target.
    """
    from concurrent.futures import ThreadPoolExecutor, as_completed

    with ThreadPoolExecutor(min(PARALLEL, len(names)), "target") as pool:
        futures = {name: pool.submit(work, name) for name in names}
        try:
            if len(names) > 1 and sys.stderr.isatty():
                done = as_completed(futures.values())
                with click.progressbar(done, length=len(names), label=label, file=sys.stderr) as bar:
                    for _ in bar:
                        pass
            for name, future in futures.items():
                error = future.exception()
                if error is not None and not isinstance(error, Exception):
                    raise error
                yield name, error if error is not None else future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
