"""Many simulated gateways in one thread, and a configuration file that fits them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import yaml

from probe_exporter.simulator.certificates import SimulatedCertificate, make_certificate
from probe_exporter.simulator.loop import LoopThread
from probe_exporter.simulator.reboot import Reboot
from probe_exporter.simulator.server import SimulatedGateway
from probe_exporter.simulator.system import System

if TYPE_CHECKING:
    from probe_exporter.simulator.tedapi import Tedapi


@final
class Farm:
    """Gateways by name, all in one thread; a context manager.

    ``port`` is that of the first gateway, the others follow; 0 takes free ones. With ``certificate`` all show the
    same one, which makes a thousand of them cheap.
    """

    def __init__(
        self,
        systems: Mapping[str, System],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        latency: float = 0.0,
        certificate: SimulatedCertificate | None = None,
    ) -> None:
        self._loop = LoopThread("simulator-farm")
        self._tasks: set[asyncio.Task[None]] = set()
        self.gateways: dict[str, SimulatedGateway] = {
            name: SimulatedGateway(
                system,
                host=host,
                port=port + index if port else 0,
                password=f"simulated-{index + 1:04d}",
                latency=latency,
                certificate=certificate or make_certificate(),
                loop=self._loop,
            )
            for index, (name, system) in enumerate(systems.items())
        }

    def __enter__(self) -> Farm:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start all gateways. Raises OSError where a port is taken; none runs then."""
        self._loop.start()
        try:
            for gateway in self.gateways.values():
                gateway.start()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop all gateways, and the thread."""
        for gateway in self.gateways.values():
            gateway.close()
        self._loop.close()

    def reboot(self, name: str, seconds: float) -> None:
        """Let one gateway reboot, ``seconds`` in each stage."""
        self._loop.run(self._start_reboot(self.gateways[name], seconds))

    async def _start_reboot(self, gateway: SimulatedGateway, seconds: float) -> None:
        task = asyncio.get_running_loop().create_task(Reboot(gateway).play(seconds))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def write_config(
        self,
        path: Path,
        listen_address: str | None = None,
        state_directory: Path | None = None,
        home: str | None = None,
        tariff: Mapping[str, Any] | None = None,
    ) -> None:
        """As the function `write_config`, for all gateways of this farm."""
        write_config(self.gateways, path, listen_address, state_directory, home, tariff)


def write_config(
    gateways: Mapping[str, SimulatedGateway],
    path: Path,
    listen_address: str | None = None,
    state_directory: Path | None = None,
    home: str | None = None,
    tariff: Mapping[str, Any] | None = None,
) -> None:
    """A configuration file for these gateways, readable by its owner only. Raises OSError, also where one exists.

    ``home`` is the one that all of them share, ``tariff`` the section of the tariff that all of them have.
    """
    document: dict[str, Any] = {}
    if state_directory is not None:
        document["state_directory"] = str(state_directory)
    if listen_address is not None:
        document["web"] = {"listen_address": listen_address}
    document["gateways"] = {
        name: {
            "gateway_address": gateway.address,
            "login_email": gateway.email,
            "login_password": gateway.password,
            "tls_fingerprint": f"sha256:{gateway.certificate.sha256}",
            "labels": {"site": name, "fleet": "simulated"},
        }
        for name, gateway in gateways.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    for index, (name, gateway) in enumerate(gateways.items()):
        if gateway.tedapi is not None:
            document["gateways"][name]["tedapi"] = _tedapi_section(gateway.tedapi, index, path)
    if home is not None:
        for entry in document["gateways"].values():
            entry["home"] = home
    if tariff is not None:
        document["tariffs"] = {"default": dict(tariff)}
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")


def _tedapi_section(tedapi: Tedapi, index: int, path: Path) -> dict[str, Any]:
    """Both ways in turn: the password of the gateway's own Wi-Fi, and a key, whose file is beside ``path``."""
    if not index % 2:
        return {"gateway_password": tedapi.password}
    file = path.with_name(f"{path.stem}-key-{index + 1}.pem")
    file.touch(mode=0o600, exist_ok=False)
    file.write_bytes(tedapi.make_key())
    return {"rsa_key_file": file.name, "din": tedapi.source.dins[0]}
