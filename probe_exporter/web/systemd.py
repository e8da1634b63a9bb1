"""The two interfaces of systemd to a service: sockets that it has opened, and the notice that the service is ready."""

from __future__ import annotations

import logging
import os
import socket
from typing import Final

from probe_exporter.errors import ConfigurationError, Mistake

log = logging.getLogger(__name__)

FIRST_DESCRIPTOR: Final = 3
"""The number of the first descriptor that systemd passes."""


def notify_ready() -> None:
    """Notify systemd that the port answers, where the unit has ``Type=notify``."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as messenger:
        try:
            messenger.sendto(b"READY=1", address)
        except OSError as error:
            log.warning("systemd cannot be notified that the exporter is ready: %s", error)


def inherited_sockets() -> list[socket.socket]:
    """The listening sockets of our ``.socket`` unit. Raises ConfigurationError where there are none."""
    count = os.environ.pop("LISTEN_FDS", "")
    if os.environ.pop("LISTEN_PID", "") != str(os.getpid()) or not count.isdecimal() or count == "0":
        raise _unusable("systemd has not passed a socket; start the .socket unit, not only the service")
    sockets = [socket.socket(fileno=FIRST_DESCRIPTOR + number) for number in range(int(count))]
    for one in sockets:
        one.set_inheritable(False)
        if one.type != socket.SOCK_STREAM or not one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise _unusable("a socket that systemd has passed does not listen; use ListenStream=")
    return sockets


def _unusable(problem: str) -> ConfigurationError:
    return ConfigurationError((Mistake("--web.systemd-socket", None, "", problem),))
