"""The outermost layer of the service: the still-encoded path in, the request's id out."""

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

import msgspec

from applyrate.api.heads import HeadLimits
from applyrate.api.held_bytes import HeldBytes, Share
from applyrate.errors import ApplyrateError, error_body
from applyrate.settings import Settings

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
AsgiApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

REQUEST_ID: Final = "applyrate.request_id"
"""The scope's key for the request's id, as text."""

ANSWER_HEADERS: Final = "applyrate.answer_headers"
"""The scope's key for a list of headers; whatever the answer is, it carries them."""

BODY_SHARE: Final = "applyrate.body_share"
"""The scope's key for the request's Share of the memory that bodies may take."""


class Edge:
    """An ASGI app around another.

    Routing sees the path as it was sent, percent-encoded, because only there a slash inside an
    identifier (``%2F``) differs from one between two segments. An answer that comes before its
    request's body was read ends the connection, since what is left of the body is on its way. A
    head that is too long is answered here, and what a body held in memory is given back here.
    ``under_way`` is the number of requests that are being answered.
    """

    def __init__(self, app: AsgiApp, settings: Settings) -> None:
        self._app = app
        self._head_limits = HeadLimits.of(settings)
        self._held = HeldBytes(settings.max_held_bytes)
        self.under_way = 0
        self._abandoned = asyncio.Event()
        self._ended = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, or the server's start and end."""
        if scope["type"] != "http":
            try:
                await self._app(scope, lambda: self._receive_lifespan(receive), send)
            finally:
                self._ended.set()
            return
        scope["path"] = scope["raw_path"].decode("latin-1")
        if scope["method"] == "OPTIONS":
            # Litestar would answer it on every path; here it is a method that no route has.
            scope["method"] = "HEAD"
        request_id = _request_id(scope)
        headers = [(b"x-request-id", request_id)]
        scope[REQUEST_ID] = request_id.decode()
        scope[ANSWER_HEADERS] = headers

        body = _Body(scope, receive)

        def send_with_headers(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                ending = [_CLOSE] if body.is_unread else []
                message["headers"] = [*message["headers"], *headers, *ending]
            return send(message)

        self.under_way += 1
        share = scope[BODY_SHARE] = Share(self._held)
        try:
            if fault := self._head_limits.fault(scope):
                await _answer(fault, send_with_headers)
            else:
                await self._app(
                    scope, body.receive if body.is_unread else receive, send_with_headers
                )
        finally:
            share.give_back()
            self.under_way -= 1

    async def abandon(self) -> None:
        """End the app as the server's end would; for a server that still waits for requests."""
        self._abandoned.set()
        await self._ended.wait()

    async def _receive_lifespan(self, receive: Receive) -> Message:
        message = asyncio.ensure_future(receive())
        abandoned = asyncio.create_task(self._abandoned.wait())
        await asyncio.wait((message, abandoned), return_when=asyncio.FIRST_COMPLETED)
        abandoned.cancel()
        if message.done():
            return message.result()
        message.cancel()
        return {"type": "lifespan.shutdown"}


async def _answer(error: ApplyrateError, send: Send) -> None:
    """Answer a request that gets no further."""
    body = msgspec.json.encode(error_body(error.status, error.message))
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": error.status.value, "headers": headers})
    await send({"type": "http.response.body", "body": body})


_CLOSE: Final = (b"connection", b"close")


class _Body:
    """A request's body on its way in. One that is short has arrived with the request's head."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        self.is_unread = any(
            name == b"transfer-encoding" or (name == b"content-length" and _is_long(value))
            for name, value in scope["headers"]
        )

    async def receive(self) -> Message:
        message = await self._receive()
        if not message.get("more_body"):
            self.is_unread = False
        return message


_SHORT_BYTES: Final = 4_096


def _is_long(length: bytes) -> bool:
    return not length.isdigit() or int(length) > _SHORT_BYTES


_SANE: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}")


def _request_id(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE.fullmatch(value):
            return bytes(value)
    return b"req_" + secrets.token_hex(8).encode()
