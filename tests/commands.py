"""The command line, run in this process or as a process of its own."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
from typer.testing import CliRunner, Result

from applyrate.cli import app
from applyrate.cli.terminal import stderr, stdout

PROGRAM = str(Path(sys.executable).with_name("applyrate"))

ENVIRON = {name: value for name, value in os.environ.items() if "APPLYRATE" not in name}
"""This environment without the service's settings."""


def run(*arguments: object, columns: int = 80, **settings: object) -> Result:
    """Run a command here, with these settings alone; its ``exit_code``, ``stdout``, ``stderr``."""
    environ: dict[str, str | None] = {name: None for name in os.environ if "APPLYRATE" in name}
    environ |= {f"APPLYRATE_{name.upper()}": str(value) for name, value in settings.items()}
    for console in (stdout, stderr):
        console.cache_clear()  # it keeps its width
    environ |= {"COLUMNS": str(columns), "NO_COLOR": "1"}
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env=environ)


def answer(*arguments: object) -> Any:
    """What a command that is done prints with ``--json``."""
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("\n") == 1
    return msgspec.json.decode(result.stdout)


def run_process(*arguments: object, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    """Run a command in a process of its own."""
    return subprocess.run(
        [PROGRAM, *map(str, arguments)], input=stdin, capture_output=True, env=ENVIRON, check=False
    )


def start_process(*arguments: object, **options: Any) -> "subprocess.Popen[bytes]":
    """Start a command in a process of its own; it is the caller's to end."""
    return subprocess.Popen([PROGRAM, *map(str, arguments)], env=ENVIRON, **options)
