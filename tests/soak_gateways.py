"""Two hundred simulated gateways for the soak: good, slow, dead and lying ones.

``python -m tests.soak_gateways FILE good`` plays the good ones until standard input ends, after it has written a
configuration for them and said so; with ``bad`` it plays the others. Lies are long and take a simulator its time, so
that each kind has a process of its own.
"""

from __future__ import annotations

import sys
from pathlib import Path

from probe_exporter.simulator import LivingSite, SimulatedGateway, make_certificate, write_config
from probe_exporter.simulator.loop import LoopThread

GOOD, SLOW, DEAD, LYING = 100, 40, 30, 30

_DEAD = ("refuse", "hang", "reset")
_LYING = (
    ("wrong_types", "*"),
    ("html_200", "*"),
    ("nan", "*"),
    ("huge_body", "networks"),
    ("deep_nesting", "solars"),
    ("401_forever", "*"),
    ("drip", "system_status"),
    ("not_http", "meters/site"),
    ("long_strings", "site_info"),
    ("many_entries", "networks"),
)


def play(file: Path, kind: str) -> None:
    """Play the good or the bad ones until standard input ends."""
    numbers = range(GOOD) if kind == "good" else range(GOOD, GOOD + SLOW + DEAD + LYING)
    loop, certificate = LoopThread(), make_certificate()
    loop.start()
    gateways: dict[str, SimulatedGateway] = {}
    for number in numbers:
        gateway = SimulatedGateway(LivingSite(seed=number), certificate=certificate, loop=loop)
        gateway.start()
        name = f"good-{number}"
        if GOOD <= number < GOOD + SLOW:
            name, gateway.latency = f"slow-{number}", 0.4
        elif GOOD + SLOW <= number < GOOD + SLOW + DEAD:
            name = f"dead-{number}"
            fault = _DEAD[number % len(_DEAD)]
            gateway.faults.add(fault, phase=None if fault == "refuse" else "tls")
        elif number >= GOOD + SLOW + DEAD:
            name = f"lying-{number}"
            lie, endpoint = _LYING[number % len(_LYING)]
            gateway.faults.add(lie, endpoint=endpoint)
        gateways[name] = gateway
    write_config(gateways, file)
    print("ready", flush=True)
    sys.stdin.read()
    for gateway in gateways.values():
        gateway.close()
    loop.close()


if __name__ == "__main__":
    play(Path(sys.argv[1]), sys.argv[2])
