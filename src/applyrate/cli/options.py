"""The options that commands share, and what stands behind them: the data folder and its store."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from applyrate.errors import NotFound
from applyrate.settings import PREFIX, Settings, load_settings
from applyrate.store import Store, open_store, require_cluster, store_exists
from applyrate.usage import ResourceType

if TYPE_CHECKING:
    from applyrate.intake.inbox import Inbox

_DEFAULTS = Settings()
DEFAULT_DATA = _DEFAULTS.data_path
DEFAULT_HOST = _DEFAULTS.host
DEFAULT_PORT = _DEFAULTS.port
DEFAULT_ORG = "default"
DEFAULT_LIMIT = 50
MAX_LIMIT = 250
_MAX_NAME = 512

Data = Annotated[
    Path,
    typer.Option(
        "--data",
        envvar=PREFIX + "DATA",
        metavar="DIR",
        file_okay=False,
        help="The folder that holds the data.",
    ),
]

StoreAddress = Annotated[
    str | None,
    typer.Option(
        "--store",
        envvar=PREFIX + "STORE",
        metavar="ADDRESS",
        help="A ClickHouse node or cluster that holds the usages.",
    ),
]


def _checked_org(name: str) -> str:
    if 1 <= len(name) <= _MAX_NAME and "\0" not in name:
        return name
    raise typer.BadParameter(f"{name[:20]!r}: a name has 1 to {_MAX_NAME} characters")


Org = Annotated[
    str, typer.Option("--org", metavar="NAME", callback=_checked_org, help="The organization.")
]
Host = Annotated[
    str, typer.Option("--host", envvar=PREFIX + "HOST", help="The address to listen on.")
]
Port = Annotated[
    int,
    typer.Option(
        "--port",
        envvar=PREFIX + "PORT",
        min=0,
        max=65535,
        help="The port to listen on; 0 takes a free one.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
From = Annotated[
    str | None,
    typer.Option("--from", metavar="TIME", help="ISO 8601 date or date-time; count from there on."),
]
To = Annotated[
    str | None,
    typer.Option(
        "--to", metavar="TIME", help="Count up to this date-time, or to the end of this date."
    ),
]
Limit = Annotated[int, typer.Option("--limit", min=1, max=MAX_LIMIT, help="How many rows to show.")]
Cursor = Annotated[
    str | None, typer.Option("--cursor", metavar="CURSOR", help="Go on after an earlier page.")
]
All = Annotated[bool, typer.Option("--all", help="Show every row, page after page.")]
Type = Annotated[
    ResourceType, typer.Argument(metavar="TYPE", help="action, instruction or knowledge.")
]
Id = Annotated[str, typer.Argument(metavar="ID", help="The resource's id.")]


def use_store(address: str | None) -> None:
    """Let the settings of this process name a store. Raises InvalidInput where it is no address."""
    if address is not None:
        require_cluster()
        from applyrate.store.clickhouse.address import parse_address

        parse_address(address)
        os.environ[PREFIX + "STORE"] = address


@contextmanager
def opened(data: Path) -> Iterator[Store]:
    """The store at the setting's address, or in a data folder, made where it is not there yet."""
    settings = load_settings()
    store = open_store(data, settings.keeping, settings.store, settings.query_limits)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def opened_existing(data: Path) -> Iterator[Store]:
    """The same. Raises NotFound where there is none, and makes none."""
    if load_settings().store is None and not store_exists(data):
        raise NotFound(
            f"there is no data in {str(data)!r}; name another folder with --data, or fill this one "
            "with `applyrate serve`, `applyrate import` or `applyrate demo`"
        )
    with opened(data) as store:
        yield store


@contextmanager
def opened_inbox(data: Path) -> Iterator["Inbox"]:
    """The inbox in a data folder, made where it is not there yet."""
    from applyrate.intake.inbox import FILE, Inbox

    inbox = Inbox(data / FILE, max_spans=load_settings().inbox_max_spans)
    try:
        yield inbox
    finally:
        inbox.close()
