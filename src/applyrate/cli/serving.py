"""``applyrate serve``: the HTTP API on a data folder."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import msgspec

from applyrate.cli.failures import reporting_failure
from applyrate.cli.options import (
    DEFAULT_DATA,
    DEFAULT_HOST,
    DEFAULT_PORT,
    Data,
    Host,
    Port,
    StoreAddress,
    opened,
    use_store,
)
from applyrate.cli.terminal import stdout
from applyrate.settings import load_settings


@reporting_failure
def serve(
    *,
    data: Data = DEFAULT_DATA,
    store: StoreAddress = None,
    host: Host = DEFAULT_HOST,
    port: Port = DEFAULT_PORT,
) -> None:
    """Serve the HTTP API until Ctrl-C.

    The first start on an empty folder makes one full-access key and prints it once. All other
    settings come from the environment.
    """
    from applyrate.api.serving import FIRST_ORG, make_first_key

    use_store(store)
    with opened(data) as opened_store:
        key = make_first_key(opened_store)
    if key is not None:
        stdout().print(f"A full-access key to the organization {FIRST_ORG}, shown only this once:")
        stdout().print(f"\n  [bold]{key}[/]\n", soft_wrap=True)
    serve_on(data, host, port, lambda _: None)


def serve_on(data: Path, host: str, port: int, announce: Callable[[str], None]) -> NoReturn:
    """Serve a data folder with the environment's other settings, and end the process.

    ``announce`` is told the address once requests are answered there.
    """
    from applyrate.api.serving import serve

    def announce_address(url: str) -> None:
        announce(url)
        told = f"Serving {data} on {url} (its manual: {url}/docs)"
        stdout().print(told, markup=False, soft_wrap=True)
        stdout().print("[dim]Ctrl-C stops it.[/]")

    settings = msgspec.structs.replace(load_settings(), data=str(data), host=host, port=port)
    serve(settings, announce_address)
    # All of ours is closed now. Granian's threads may still be letting go of Python objects, and
    # an interpreter that is taken down under them aborts (seen once in fifty ends): so leave it up.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
