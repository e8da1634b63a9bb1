"""What many tests share: the programs they start, and the recorded payloads."""

from __future__ import annotations

import logging
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

# A shell starts what runs in its background with SIGINT ignored, and children inherit that: tests that send Ctrl-C
# to a program would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# What a test or a program that it starts keeps must not go to the home of whoever runs the tests.
os.environ["XDG_STATE_HOME"] = "/dev/null"
os.environ.pop("STATE_DIRECTORY", None)


def program(name: str) -> str:
    """The path of a program that a test starts. Without it the test skips, or fails under REQUIRE_PROGRAMS=1."""
    path = shutil.which(name)
    if path is None:
        if os.environ.get("REQUIRE_PROGRAMS") == "1":
            pytest.fail(f"{name} is not installed, and REQUIRE_PROGRAMS=1 asks for it")
        pytest.skip(f"{name} is not installed")
    return path


def recorded_payloads() -> Path:
    """The folder of recorded payloads. Without it the test skips; one that is named and missing is a failure."""
    folder = os.environ.get("RECORDED_PAYLOADS")
    if not folder:
        pytest.skip("RECORDED_PAYLOADS names no folder of recorded payloads")
    path = Path(folder)
    if not path.is_dir():
        pytest.fail("RECORDED_PAYLOADS names no folder")
    return path


@pytest.fixture
def recordings() -> Path:
    """The folder of recorded payloads."""
    return recorded_payloads()


@pytest.fixture(autouse=True)
def logging_restored() -> Iterator[None]:
    """Undo what a command does to logging: also after tests that do not think of it."""
    root, ours = logging.getLogger(), logging.getLogger("probe_exporter")
    probes = logging.getLogger("probe_exporter.probe")
    handlers, raising = root.handlers[:], logging.raiseExceptions
    levels = [(logger, logger.level) for logger in (root, ours, probes)]
    yield
    root.handlers[:] = handlers
    logging.raiseExceptions = raising
    for logger, level in levels:
        logger.setLevel(level)
