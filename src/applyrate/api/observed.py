"""What is seen of each request from outside: counted, timed, traced and, where wanted, logged."""

import time
from collections.abc import Awaitable
from typing import Final

from applyrate.api.edge import REQUEST_ID as SCOPE_REQUEST_ID
from applyrate.api.edge import AsgiApp, Message, Receive, Scope, Send
from applyrate.observability.context import REQUEST_ID
from applyrate.observability.events import Event
from applyrate.observability.logs import is_told, tell
from applyrate.observability.metrics import Metrics
from applyrate.observability.tracing import NEVER_TRACED, Tracing

UNMATCHED: Final = "unmatched"
"""What stands for the route where none has the path; else anybody could make up labels."""

_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
OTHER_METHOD: Final = "_OTHER"
"""What OpenTelemetry's conventions call a method that is none of HTTP's."""


class Observed:
    """An ASGI app around another, inside the edge, which has given the request its id.

    Whatever is logged while a request is answered knows that id. A request is counted as its answer
    begins, so that a stream counts once it stands.
    """

    def __init__(self, app: AsgiApp, metrics: Metrics, tracing: Tracing | None) -> None:
        self._app = app
        self._metrics = metrics
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, or pass the server's start and end on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_at = time.perf_counter()
        method = scope["method"] if scope["method"] in _METHODS else OTHER_METHOD
        route, status, count = UNMATCHED, 0, self._metrics.requests.count

        def send_observed(message: Message) -> Awaitable[None]:
            nonlocal route, status
            if message["type"] == "http.response.start":
                route, status = scope.get("path_template") or UNMATCHED, message["status"]
                seconds = time.perf_counter() - began_at
                count(method, route, status, seconds)
            return send(message)

        token = REQUEST_ID.set(scope[SCOPE_REQUEST_ID])
        try:
            if self._tracing is None or scope["path"].startswith(NEVER_TRACED):
                await self._app(scope, receive, send_observed)
            else:
                with self._tracing.request(scope) as span:
                    await self._app(scope, receive, send_observed)
                    span.answer(route, status)
        finally:
            if is_told(Event.REQUEST_ANSWERED):
                seconds = round(time.perf_counter() - began_at, 6)
                tell(
                    Event.REQUEST_ANSWERED,
                    method=method,
                    route=route,
                    status=status,
                    duration_seconds=seconds,
                )
            REQUEST_ID.reset(token)
