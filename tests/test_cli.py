"""The command line itself: the default command, the Go exporter's options, exit codes, one-line errors."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from probe_exporter import __version__
from probe_exporter.cli import COMMANDS, cli
from probe_exporter.cli.endings import run

ROOT = Path(__file__).parent.parent


def call(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The program in a process of its own, as a user starts it."""
    return subprocess.run(
        [sys.executable, "-m", "probe_exporter", *arguments],
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ["serve"]),
        (["--debug"], ["--debug", "serve"]),
        (["--config.file=x.yaml"], ["--config.file=x.yaml", "serve"]),
        (["--config.file", "x.yaml"], ["--config.file", "x.yaml", "serve"]),
        (["--config.file", "x.yaml", "check"], ["--config.file", "x.yaml", "check"]),
        (["--log.style=json", "--debug", "probe", "home"], ["--log.style=json", "--debug", "probe", "home"]),
        (["--web.listen-address", ":1"], ["serve", "--web.listen-address", ":1"]),
        (["--debug", "--web.listen-address=:1"], ["--debug", "serve", "--web.listen-address=:1"]),
        (["--fetchcert"], ["--fetchcert", "fetchcert"]),
        (["--fetchcert", "--config.file=x.yaml"], ["--fetchcert", "--config.file=x.yaml", "fetchcert"]),
        (["--config.file"], ["--config.file", "serve"]),
        (["serve", "--config.file=x.yaml"], ["--config.file=x.yaml", "serve"]),
        (
            ["--config.file=a", "check", "--config.file", "b"],
            ["--config.file=a", "--config.file", "b", "check"],
        ),
        (["--web.listen-address=:1", "--debug"], ["--debug", "serve", "--web.listen-address=:1"]),
        (["probe", "home", "--debug", "--all"], ["--debug", "probe", "home", "--all"]),
        (["probe", "--module", "--debug", "home"], ["probe", "--module", "--debug", "home"]),
        (["probe", "--", "--debug"], ["probe", "--", "--debug"]),
        (["probe", "--help"], ["probe", "--help"]),
        (["check", "--config.file"], ["--config.file", "check"]),
        (["nonsense", "--debug"], ["nonsense", "--debug"]),
    ],
)
def test_the_command_that_is_meant(arguments: list[str], expected: list[str]) -> None:
    assert cli.arranged(click.Context(cli), arguments) == expected


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_every_command_has_complete_help(command: str) -> None:
    result = CliRunner().invoke(cli, [*([command] if command else []), "--help"])
    assert result.exit_code == 0, result.output
    context = click.Context(cli)
    chosen = cli.get_command(context, command) if command else cli
    assert chosen is not None
    assert chosen.help
    for parameter in chosen.get_params(context):
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert parameter.help, parameter.name
            assert parameter.opts[0] in result.output


def test_help_lists_every_command() -> None:
    output = CliRunner().invoke(cli, ["--help"]).output
    for command in COMMANDS:
        assert re.search(rf"^  {command} +\w", output, re.MULTILINE), command


def test_version() -> None:
    assert CliRunner().invoke(cli, ["--version"]).output.startswith(f"probe_exporter {__version__} ")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom probe_exporter.cli import cli\n"
        "cli.main(['--help'], standalone_mode=False)\n"
        "heavy = {'prometheus_client', 'urllib3', 'voluptuous', 'yaml', 'uvicorn', 'cryptography', 'jinja2', 'ssl'}\n"
        "print('imported:', sorted(heavy & set(sys.modules)))"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    ).stdout
    assert output.endswith("imported: []\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["probe", "--nonsense"],
        ["probe", "--format", "xml"],
        ["probe", "--timeout", "soon"],
        ["probe", "--timeout", "-5s"],
        ["probe", "--timeout", "25h"],
        ["--log.style", "xml", "check"],
        ["--config.file"],
    ],
)
def test_a_wrong_command_line_is_exit_2(arguments: list[str]) -> None:
    result = call(*arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert result.stderr.count("\n") <= 4


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["chek"], "Error: No such command 'chek'. Did you mean 'check'?\n"),
        (["fetch-cert", "home"], "Error: No such command 'fetch-cert'. Did you mean 'fetchcert'?\n"),
        (["xyzzy"], "Error: No such command 'xyzzy'.\n"),
        (["probe", "--formt=json"], "Error: No such option '--formt'. Did you mean '--format'?\n"),
        (
            ["probe", "--confi.file=x"],
            "Error: No such option '--confi.file'. Did you mean '--config.file'?\n",
        ),
        (["--xyzzy"], "Error: No such option '--xyzzy'.\n"),
    ],
)
def test_a_misspelt_word_of_the_command_line_is_told_the_nearest(arguments: list[str], expected: str) -> None:
    result = call(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.endswith(expected)


def test_a_misspelt_option_of_the_group_is_told_although_serve_has_like_ones() -> None:
    assert "'--config.file'" in call("--config.fil=x.yaml").stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--config.file=", "check"],
        ["check", "--config.file", ""],
        ["--web.config.file="],
        ["simulate", "--write="],
        ["record", "home", ""],
    ],
)
def test_an_empty_name_of_a_file_is_not_the_current_directory(arguments: list[str], tmp_path: Path) -> None:
    result = call(*arguments, folder=tmp_path)
    assert result.returncode == 2
    assert re.search(r"Error: Invalid value for '(--\S+|FILE)'.*: it is empty; name a file\n$", result.stderr)


def test_a_variable_that_is_set_to_nothing_names_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "probe_exporter.yaml").write_text("gateways: {192.0.2.1: }")
    monkeypatch.setenv("PROBE_EXPORTER_CONFIG_FILE", "")
    assert "OK: 1 gateway" in call("check", folder=tmp_path).stdout


@pytest.mark.parametrize("arguments", [[], ["probe"], ["check"], ["fetchcert"], ["--fetchcert"]])
def test_no_configuration_is_one_line_and_exit_2(arguments: list[str], tmp_path: Path) -> None:
    result = call(*arguments, folder=tmp_path)
    assert result.returncode == 2
    assert re.fullmatch(
        r"no configuration file: .*--config\.file=FILE, or set POWERWALL_ADDRESS and POWERWALL_PASSWORD\n",
        result.stderr,
    )


def test_a_missing_configuration_file_is_one_line_and_exit_2(tmp_path: Path) -> None:
    result = call("--config.file=absent.yaml", "check", folder=tmp_path)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "absent.yaml" in result.stderr


def _failing(error: BaseException) -> click.Command:
    def fail() -> None:
        raise error

    return click.Command("fail", callback=fail)


@pytest.mark.parametrize(
    ("error", "code", "expected"),
    [
        (click.UsageError("no such thing"), 2, "no such thing"),
        (KeyboardInterrupt(), 1, "interrupted"),
        (OSError(98, "Address already in use"), 1, "Address already in use"),
        (FileNotFoundError(2, "No such file or directory", "x.pem"), 1, "x.pem: No such file or directory"),
        (RuntimeError("a-secret"), 1, "unexpected RuntimeError at test_cli.py"),
    ],
)
def test_an_error_is_one_line(
    error: BaseException,
    code: int,
    expected: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["probe_exporter"])
    with pytest.raises(SystemExit) as ending:
        run(_failing(error))
    assert ending.value.code == code
    output = capsys.readouterr()
    assert expected in output.err
    assert "a-secret" not in output.err
    assert "Traceback" not in output.err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("probe_exporter fetch", ["fetchcert"]),
        ("probe_exporter --log.st", ["--log.style"]),
        ("probe_exporter probe --for", ["--format"]),
        ("probe_exporter --config.file=x.yaml probe h", ["home"]),
        ("probe_exporter --config.file=absent.yaml probe h", []),
    ],
)
def test_completion(words: str, expected: list[str], tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("gateways: {home: {}, cabin: {}}\n")
    code = "import sys; sys.argv = ['probe_exporter']; from probe_exporter.cli import main; main()"
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "_PROBE_EXPORTER_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert result.stderr == ""
    assert [line.partition(",")[2] for line in result.stdout.split()] == expected
