"""Fresh Debian systems, and programs of newer Debian releases, for tests that need a machine of their own.

What was fetched is kept in ``.cache/`` of the checkout: made once, by one process at a time. ``make clean`` drops it.
"""

from __future__ import annotations

import ast
import contextlib
import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import program
from tests.started import run

CACHE = Path(__file__).parent.parent / ".cache"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
PUBLIC_MIRROR = "http://deb.debian.org/debian"
NEWER = ("trixie", "sid")
"""Releases that are asked for newer programs; the newest version counts."""


def mirror() -> str:
    """The Debian mirror of this machine's own apt, or the public one."""
    targets = run(program("apt-get"), "indextargets", "--format", "$(LABEL) $(REPO_URI)").splitlines()
    return next((line.split()[1] for line in targets if line.startswith("Debian ")), PUBLIC_MIRROR)


def root_archive(release: str, *packages: str) -> Path:
    """A tar archive of a fresh, minimal Debian with some packages. Skips where it cannot be made.

    Fails instead of skipping under REQUIRE_PROGRAMS=1.
    """
    debootstrap = program("debootstrap")
    need_root()
    path = CACHE / f"{'-'.join((release, *packages))}.tar"
    with locked():
        if not path.exists():
            with tempfile.TemporaryDirectory(prefix="debian-") as folder:
                root = Path(folder) / "root"
                wanted = [f"--include={','.join(packages)}"] if packages else []
                run(debootstrap, "--variant=minbase", *wanted, release, root, mirror(), seconds=600)
                run("tar", "-C", root, "-cf", path.with_suffix(".new"), ".")
            path.with_suffix(".new").rename(path)
    return path


@contextlib.contextmanager
def unpacked(archive: Path) -> Iterator[Path]:
    """The root folder of such a system, removed afterwards. pip and name lookups work in it as they do here."""
    with tempfile.TemporaryDirectory(prefix="debian-", ignore_cleanup_errors=True) as folder:
        root = Path(folder) / "root"
        root.mkdir()
        run("tar", "-C", root, "-xpf", archive)
        shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
        for path, text in pip_files().items():
            (root / path.lstrip("/")).write_bytes(text)
        yield root


def pip_files() -> dict[str, bytes]:
    """Files by their path that let pip reach its index in another root as it does here: what it trusts, and where."""
    listed = run(sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list").splitlines()
    settings = {line.partition("=")[0].partition(".")[2]: line.partition("=")[2] for line in listed}
    lines = [
        f"{key} = {ast.literal_eval(settings[key])}" for key in ("index-url", "proxy") if key in settings
    ]
    files = {}
    if "cert" in settings:
        files["/etc/index.pem"] = Path(ast.literal_eval(settings["cert"])).read_bytes()
        lines.append("cert = /etc/index.pem")
    return {**files, "/etc/pip.conf": "\n".join(["[global]", *lines, ""]).encode()}


def newer_programs(*packages: str) -> Path:
    """The folder of the programs of these packages, as the newest Debian has them, unpacked and not installed."""
    apt_get, dpkg = program("apt-get"), program("dpkg")
    folder = CACHE / "-".join(packages)
    with locked():
        if not folder.exists():
            if not Path(KEYRING).exists():
                pytest.skip("no key of the Debian archive is installed")
            with tempfile.TemporaryDirectory(prefix="apt-", dir=CACHE) as name:
                temporary = Path(name)
                options = private_apt(temporary)
                run(apt_get, *options, "update")
                # As another user than root it could not write here.
                download = [*options, "-o", "APT::Sandbox::User=root", "download", *packages]
                run(apt_get, *download, cwd=temporary)
                for package in temporary.glob("*.deb"):
                    run(dpkg, "-x", package, temporary / "programs")
                (temporary / "programs").rename(folder)
    return folder / "usr/bin"


def private_apt(folder: Path) -> list[str]:
    """Options for an apt that knows the newer releases and leaves that of this machine alone."""
    sources = [f"deb [signed-by={KEYRING}] {mirror()} {release} main\n" for release in NEWER]
    (folder / "sources.list").write_text("".join(sources), encoding="utf-8")
    for name in ("state/lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    settings = {
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State": folder / "state",
        "Dir::State::status": "/dev/null",
        "Dir::Cache": folder / "cache",
    }
    return [option for name, value in settings.items() for option in ("-o", f"{name}={value}")]


def need_root() -> None:
    """Skip where the tests do not run as root; fail under REQUIRE_PROGRAMS=1."""
    if os.geteuid() != 0:
        if os.environ.get("REQUIRE_PROGRAMS") == "1":
            pytest.fail("only root can make a fresh Debian, and REQUIRE_PROGRAMS=1 asks for it")
        pytest.skip("only root can make a fresh Debian")


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Only one process at a time is in here."""
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
