"""The entry point of the program: the console scripts and ``python -m probe_exporter``."""

from __future__ import annotations

import signal


def main() -> None:
    """Run the command line with SIGHUP blocked.

    By default SIGHUP ends a process, and `systemctl reload` may send one at any moment. The kernel keeps it until
    ``serve`` can reload; every other command unblocks it. The command line is imported after the signal is blocked,
    because the import takes a while.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    from probe_exporter.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
