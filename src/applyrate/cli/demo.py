"""``applyrate demo``: the service with 90 days of a simulated support agent in it."""

from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

import typer

from applyrate.cli.failures import reporting_failure
from applyrate.cli.options import DEFAULT_HOST, DEFAULT_ORG, DEFAULT_PORT, Host, Port, opened
from applyrate.cli.progress import reply_progress
from applyrate.cli.serving import serve_on
from applyrate.cli.terminal import stdout
from applyrate.keys import ApiKey, digest, issue_key
from applyrate.store import Store

_KEY_NAME = "demo"


@reporting_failure
def demo(
    *,
    data: Annotated[
        Path,
        typer.Option(metavar="DIR", file_okay=False, help="The folder to fill, a new one."),
    ] = Path("applyrate-demo"),
    days: Annotated[
        int, typer.Option(min=1, max=3650, help="How many days to simulate, up to now.")
    ] = 90,
    host: Host = DEFAULT_HOST,
    port: Port = DEFAULT_PORT,
    no_serve: Annotated[
        bool, typer.Option("--no-serve", help="Fill the folder, print the key, and end.")
    ] = False,
) -> None:
    """Fill a data folder with a simulated support agent's days, and serve it.

    The folder is filled once; later runs serve what is there, with a new key.
    """
    from applyrate.demo.filling import fill, plan

    now = datetime.now(UTC)
    planned = plan(data, now, days)
    with opened(data) as store:
        if planned.filled:
            told = f"{data} is filled, with {planned.days} days up to {planned.end_at:%Y-%m-%d}."
        else:
            with reply_progress(f"Simulating {planned.days} days", planned.days) as show:
                for done, replies in fill(data, store, DEFAULT_ORG, planned):
                    show(done, replies)
            told = f"{data} holds {replies:,} replies of {planned.days} days."
        stdout().print(told, markup=False, soft_wrap=True)
        key, known = _renew_key(store, now)
        # The link is a session by itself, and goes over no network but this machine's own.
        link = _make_link(store, known) if not no_serve and _is_loopback(host) else None
    if no_serve:
        _print_examples(key, f"http://{host}:{port}")
    else:
        serve_on(data, host, port, lambda url: _print_examples(key, url, link))


def _renew_key(store: Store, now: datetime) -> tuple[str, ApiKey]:
    """A new key in place of the earlier ones of that name, which cannot be shown again."""
    for known in store.keys(DEFAULT_ORG):
        if known.name == _KEY_NAME and known.revoked_at is None:
            store.revoke_key(DEFAULT_ORG, known.key_id, now)
    key, known = issue_key(DEFAULT_ORG, _KEY_NAME, scopes=None, created_at=now)
    store.add_key(known, digest(key))
    return key, known


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:  # another host's name
        return False


def _make_link(store: Store, key: ApiKey) -> str:
    """The path that opens the dashboard signed in, once and within five minutes."""
    from applyrate.dashboard.sessions import make_link

    return f"/dashboard/open/{make_link(store, key, datetime.now(UTC))}"


_EXAMPLES = (
    ("How often an action was invoked", "action/lookup_order/usage-summary"),
    ("Every instruction, the dead weight too", "instruction?limit=50"),
    ("Where the action that hardly helps was tried", "action/open_warranty_case/conversations"),
)


def _print_examples(key: str, url: str, link: str | None = None) -> None:
    console = stdout()
    if link is not None:
        told = "The dashboard, signed in (the link opens once, within five minutes):"
        console.print(f"\n{told}\n[bold]{url}{link}[/]", soft_wrap=True)
    console.print(f"\nA full-access key:  [bold]{key}[/]\n", soft_wrap=True)
    for words, path in _EXAMPLES:
        console.print(f"[dim]# {words}[/]")
        command = f"curl -H 'Authorization: Bearer {key}' '{url}/resource-usage/{path}'"
        console.print(command, markup=False, soft_wrap=True)
    console.print()
