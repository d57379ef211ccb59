"""How a command fails: one line on stderr and an exit status.

0    it was done
1    it failed
2    it was called wrongly
130  it was interrupted (Ctrl-C)
"""

import errno
import functools
import sqlite3
from collections.abc import Callable
from typing import ParamSpec

import msgspec
import typer

from applyrate.errors import ApplyrateError, InvalidInput, error_body
from applyrate.observability.logs import keep_silent

FAILED = 1
CALLED_WRONGLY = 2
INTERRUPTED = 130


P = ParamSpec("P")


def reporting_failure(command: Callable[P, None]) -> Callable[P, None]:
    """The command, with its errors told in one line, or with ``--json`` as the API's error body."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        # A service logs it; what a command cannot read or write is in its one line.
        keep_silent()
        try:
            command(*args, **kwargs)
        except (ApplyrateError, OSError, sqlite3.Error) as error:
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise  # whoever read the output has gone; Typer ends without a word
            message = _sentence(error, kwargs.get("data"))
            _report(error, message, as_json=bool(kwargs.get("as_json")))
            wrongly = isinstance(error, InvalidInput)
            raise typer.Exit(CALLED_WRONGLY if wrongly else FAILED) from None

    return run


def _sentence(error: Exception, data: object) -> str:
    match error:
        case sqlite3.Error():
            return f"the data in {str(data)!r} cannot be used: {error}"
        case OSError(filename=str() as filename, strerror=str() as reason):
            return f"{filename!r}: {reason}"
    return str(error)


def _report(error: Exception, message: str, *, as_json: bool) -> None:
    if as_json:
        status = error.status if isinstance(error, ApplyrateError) else ApplyrateError.status
        typer.echo(msgspec.json.encode(error_body(status, message)), err=True)
        return
    from applyrate.cli.terminal import stderr

    stderr().print("[bold red]Error:[/]", end=" ")
    stderr().print(message, markup=False, soft_wrap=True)
