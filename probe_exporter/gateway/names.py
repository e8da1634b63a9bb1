"""Names of gateways, looked up within a time limit: the system's resolver takes no timeout."""

from __future__ import annotations

import ipaddress
import socket
import threading
from typing import Final

from probe_exporter.config import Address
from probe_exporter.errors import ConnectError


class _LookUp:
    """A look-up in a thread of its own, which may outlast the thread that waits for it."""

    def __init__(self, host: str, port: int) -> None:
        self._where = (host, port)
        self.found: tuple[str, ...] = ()
        self.failure: OSError | None = None
        self.thread = threading.Thread(target=self._run, name="resolve", daemon=True)

    def _run(self) -> None:
        host, port = self._where
        try:
            infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            self.found = tuple(dict.fromkeys(str(info[4][0]) for info in infos))
        except (OSError, UnicodeError) as error:
            self.failure = error if isinstance(error, OSError) else OSError(str(error))
        finally:
            with _LOCK:
                del _UNDER_WAY[self._where]


_LOCK: Final = threading.Lock()
_UNDER_WAY: Final[dict[tuple[str, int], _LookUp]] = {}


def resolve(address: Address, timeout: float) -> tuple[str, ...]:
    """Return the numeric addresses of a host, at most ``timeout`` seconds later. Raises ConnectError.

    A name that is being looked up already is not looked up twice: name servers that do not answer cost one thread for
    each name.
    """
    if _is_numeric(address.host):
        return (address.host,)
    look_up = _begin(address)
    look_up.thread.join(timeout)
    if look_up.failure is not None:
        words = (look_up.failure.strerror or str(look_up.failure)).lower()
        raise ConnectError(f"{address.text} cannot be reached: {words}") from look_up.failure
    if not look_up.found:
        raise ConnectError(
            f"{address.text} cannot be reached: no name server answered within {timeout:.3g} s"
        )
    return look_up.found


def _begin(address: Address) -> _LookUp:
    where = (address.host, address.port)
    with _LOCK:
        look_up = _UNDER_WAY.get(where)
        if look_up is None:
            look_up = _LookUp(*where)
            look_up.thread.start()  # where the system allows no further thread, nothing is under way
            _UNDER_WAY[where] = look_up
        return look_up


def _is_numeric(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
