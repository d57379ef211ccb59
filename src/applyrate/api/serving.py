"""Serving: one process, one event loop, one address, from start to a clean end."""

import asyncio
import signal
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from logging.config import dictConfig
from typing import Final

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.embed import Server

from applyrate.api.app import create_app
from applyrate.api.descriptors import make_room_for_connections
from applyrate.api.edge import Edge
from applyrate.api.heads import HeadLimits
from applyrate.api.signals import signals_set
from applyrate.errors import ApplyrateError
from applyrate.keys import digest, issue_key
from applyrate.observability.events import Event
from applyrate.observability.logs import describe_logging, tell
from applyrate.settings import Settings
from applyrate.store import Store, open_store

FIRST_ORG: Final = "default"

UNREAD_SECONDS: Final = 1
"""How long the last answers are kept for whoever does not read them."""

_BACKLOG: Final = 4096


class AddressUnavailable(ApplyrateError):
    """The service cannot listen where it should."""


def serve(settings: Settings, announce: Callable[[str], None] | None = None) -> None:
    """Serve the store in the settings' data folder until SIGTERM or SIGINT.

    ``announce`` is told the address once requests are answered there. What was accepted is finished
    before this returns. Raises AddressUnavailable.
    """
    store = open_store(settings.data_path, settings.keeping, settings.store, settings.query_limits)
    try:
        asyncio.run(_serve(settings, store, announce or (lambda _: None)))
    finally:
        store.close()


def make_first_key(store: Store) -> str | None:
    """On an empty store, the organization ``default`` and a full-access key of it; else None.

    The key is shown to nobody again.
    """
    if store.organizations():
        return None
    key, kept = issue_key(FIRST_ORG, "first key", scopes=None, created_at=datetime.now(UTC))
    store.add_key(kept, digest(key))
    return key


async def _serve(settings: Settings, store: Store, announce: Callable[[str], None]) -> None:
    logging = describe_logging(settings)
    dictConfig(logging)
    host, port = _free_address(settings.host, settings.port)
    stopping = asyncio.Event()
    app = create_app(settings, store, stopping)
    server = Server(
        app,
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        backlog=_BACKLOG,
        backpressure=make_room_for_connections(settings.max_connections),
        http1_settings=HTTP1Settings(
            header_read_timeout=round(settings.max_idle_seconds * 1_000),
            max_buffer_size=HeadLimits.of(settings).buffer_bytes,
        ),
        log_level=LogLevels.error,
        log_dictconfig=logging,
    )
    with signals_set(stopping, (signal.SIGTERM, signal.SIGINT)):
        serving = asyncio.create_task(server.serve())
        stop = asyncio.create_task(stopping.wait())
        await _answering(host, port, serving)
        if not serving.done():
            url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
            tell(Event.SERVICE_STARTED, url=url, data=settings.data, version=version("applyrate"))
            announce(url)
        await asyncio.wait((serving, stop), return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        tell(Event.SERVICE_STOPPING)
        server.stop()  # type: ignore[no-untyped-call]  # granian has types for the most part
        await _end(serving, app, settings.stop_seconds)
        if serving.done():
            serving.result()
        else:
            await app.abandon()
        tell(Event.SERVICE_STOPPED)


def _free_address(host: str, port: int) -> tuple[str, int]:
    """The numeric address and the port to listen on. Raises AddressUnavailable.

    The server itself would share a port that is in use with whoever has it, so we try it first.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
            found = probe.getsockname()
    except OSError as error:
        raise AddressUnavailable(
            f"cannot listen on {host}:{port}: {error.strerror or error};"
            " choose another with --port or APPLYRATE_PORT"
        ) from None
    return str(found[0]), int(found[1])


async def _answering(host: str, port: int, serving: "asyncio.Task[None]") -> None:
    """Wait until connections are accepted, or the server has ended."""
    while not serving.done():
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            await asyncio.sleep(0.005)
        else:
            writer.close()
            return


async def _end(serving: "asyncio.Task[None]", app: Edge, stop_seconds: float) -> None:
    """Wait until all requests are answered and the answers are read, but not for ever."""
    now = asyncio.get_running_loop().time
    ends_at, read_by = now() + stop_seconds, now() + UNREAD_SECONDS
    while not serving.done() and now() < min(ends_at, read_by):
        await asyncio.wait((serving,), timeout=_LOOK_SECONDS)
        if app.under_way:
            read_by = now() + UNREAD_SECONDS


_LOOK_SECONDS: Final = 0.05
