"""A service that does nothing: the same server and framework, a handler that reads the body.

``python -m bench.peers.empty`` prints its address once it listens, and serves until it is ended.
"""

import asyncio
import socket

from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.server.embed import Server
from litestar import Litestar, Request, Response, post


@post("/v1/traces", status_code=200)
async def take(request: Request) -> Response[bytes]:  # type: ignore[type-arg]  # of no matter here
    """Read the body and answer nothing."""
    await request.body()
    return Response(b"", media_type="application/x-protobuf")


async def main() -> None:
    """Serve on a free port of the loopback address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Server(
        Litestar([take], openapi_config=None, logging_config=None),
        address="127.0.0.1",
        port=port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        log_level=LogLevels.error,
    )
    print(f"http://127.0.0.1:{port}", flush=True)
    await server.serve()


if __name__ == "__main__":
    asyncio.run(main())
