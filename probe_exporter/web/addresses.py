"""The addresses that the exporter listens at."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterable
from typing import Final

from probe_exporter.errors import ConfigurationError, Mistake

_BACKLOG: Final = 1024
_NEVER: Final = (errno.EACCES, errno.EPERM)
"""The errors of the system after which a retry would not help."""


def listen(addresses: Iterable[str]) -> list[socket.socket]:
    """Sockets for ``:port``, ``host:port`` and ``[v6]:port``.

    Raises ConfigurationError where an address can never be listened on, and OSError, with the address as its file
    name, where it cannot be now: another program has the port, or the network is not up yet.
    """
    with contextlib.ExitStack() as opened:
        sockets = [opened.enter_context(_listener(address)) for address in addresses]
        opened.pop_all()
    return sockets


def prepare(listener: socket.socket) -> None:
    """Make a listening socket one for the event loop and for short answers."""
    listener.setblocking(False)
    if listener.family in (socket.AF_INET, socket.AF_INET6):
        # What is accepted inherits it. Without it the body of an answer waits 40 ms for the client to confirm its
        # head: asyncio switches Nagle's algorithm off only where a socket was made with the protocol spelt out.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def shown(listener: socket.socket) -> str:
    """The address of a listening socket as text."""
    name = listener.getsockname()
    if not isinstance(name, tuple):
        return name if isinstance(name, str) and name else "a socket without a name"
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _listener(address: str) -> socket.socket:
    host, colon, port = address.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise _unusable(address, "is not an address; write :9871, 127.0.0.1:9871 or [::1]:9871")
    try:
        return _open(host.strip("[]"), int(port))
    except OSError as error:
        # `create_server` adds the address to the words of the system.
        words = (error.strerror or str(error)).partition(" (while ")[0]
        if error.errno in _NEVER:
            raise _unusable(address, f"cannot be listened on: {words.lower()}") from error
        raise OSError(error.errno, words, address) from error


def _open(host: str, port: int) -> socket.socket:
    if not host and socket.has_dualstack_ipv6():
        with contextlib.suppress(OSError):
            return socket.create_server(
                ("", port), family=socket.AF_INET6, backlog=_BACKLOG, dualstack_ipv6=True
            )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=_BACKLOG)


def _unusable(address: str, problem: str) -> ConfigurationError:
    return ConfigurationError((Mistake("web.listen_address", None, address, problem),))
