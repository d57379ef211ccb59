"""``applyrate keys``: who may ask the HTTP API."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from applyrate.cli.failures import reporting_failure
from applyrate.cli.options import (
    DEFAULT_DATA,
    DEFAULT_ORG,
    AsJson,
    Data,
    Org,
    opened,
    opened_existing,
)
from applyrate.cli.terminal import print_json, stdout
from applyrate.errors import InvalidInput, NotFound
from applyrate.keys import SCOPES, digest, issue_key
from applyrate.usage import utc

app = typer.Typer(help="Create, list and revoke API keys.", no_args_is_help=True)

_MAX_NAME = 200


def _checked_name(name: str) -> str:
    if 1 <= len(name) <= _MAX_NAME and "\0" not in name:
        return name
    raise typer.BadParameter(f"{name[:20]!r}: a name has 1 to {_MAX_NAME} characters")


@app.command("create")
@reporting_failure
def create_key(
    *,
    name: Annotated[
        str,
        typer.Option(
            "--name",
            metavar="NAME",
            callback=_checked_name,
            help="What a person knows the key by.",
        ),
    ],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            metavar="SCOPE",
            help=f"What the key may do; repeatable. Full access without any. {', '.join(SCOPES)}.",
        ),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(
            "--expires",
            metavar="TIME",
            help="ISO 8601 date (the start of that UTC day) or date-time; without it, never.",
        ),
    ] = None,
    data: Data = DEFAULT_DATA,
    org: Org = DEFAULT_ORG,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the key alone.")] = False,
    as_json: AsJson = False,
) -> None:
    """Create a key and print it. It is shown this once; only a hash of it is kept."""
    now = datetime.now(UTC)
    expires_at = None if expires is None else _future("--expires", expires, now)
    key, details = issue_key(org, name, scopes=scope or None, created_at=now, expires_at=expires_at)
    with opened(data) as store:
        store.add_key(details, digest(key))
    if as_json:
        print_json({"key": key, "details": details})
    elif quiet:
        typer.echo(key)
    else:
        access = "full access" if details.scopes is None else ", ".join(details.scopes)
        stdout().print(key, style="bold", soft_wrap=True)
        stdout().print(f"{details.key_id}: {access} to {org}", markup=False)
        stdout().print("[yellow]Keep it now: it is not shown again.[/]")


@app.command("list")
@reporting_failure
def list_keys(
    *, data: Data = DEFAULT_DATA, org: Org = DEFAULT_ORG, as_json: AsJson = False
) -> None:
    """List the organization's keys, revoked ones too."""
    with opened_existing(data) as store:
        keys = store.keys(org)
    if as_json:
        print_json({"items": keys})
    elif not keys:
        how = "make one with `applyrate keys create --name NAME`"
        stdout().print(f"{org} has no key; {how}", markup=False)
    else:
        from applyrate.cli.tables import keys_table

        stdout().print(keys_table(keys, datetime.now(UTC)))


@app.command("revoke")
@reporting_failure
def revoke_key(
    key_id: Annotated[str, typer.Argument(metavar="KEY_ID", help="As `keys list` shows it.")],
    *,
    data: Data = DEFAULT_DATA,
    org: Org = DEFAULT_ORG,
    as_json: AsJson = False,
) -> None:
    """Revoke a key for good."""
    with opened_existing(data) as store:
        key = store.revoke_key(org, key_id, datetime.now(UTC))
    if key is None:
        raise NotFound(f"KEY_ID: {org} has no key {key_id!r}; see `applyrate keys list`")
    if as_json:
        print_json(key)
    else:
        stdout().print(f"{key_id} ({key.name}) is revoked.", markup=False)


def _future(name: str, text: str, now: datetime) -> datetime:
    try:
        at = utc(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        raise InvalidInput(f"{name}: {text!r} is not an ISO 8601 date or date-time") from None
    if at <= now:
        raise InvalidInput(f"{name}: {text!r} has passed; name a time to come")
    return at
