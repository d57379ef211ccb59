"""The service as it is measured: Applyrate itself, with two more routes that do nothing.

    python -m bench.served

serves as ``applyrate serve`` does, with the settings of the environment. One route is the summary's
with an answer that is always the same: what is left is the server, the framework, admission, the
path, and the encoding of a typed answer. The other one has neither framework nor admission: what is
left is the server.
"""

import os

import msgspec
from litestar import get

from applyrate.api import app
from applyrate.api.edge import Edge, Receive, Scope, Send
from applyrate.api.operations import OPERATION
from applyrate.api.request import Request
from applyrate.api.resource_usage import get_summary
from applyrate.api.serving import serve
from applyrate.settings import load_settings
from applyrate.usage import UsageSummary

BARE_PATH = "/bare"

_NOTHING = UsageSummary(
    session_count=214,
    applied_sessions=214,
    applied_replies=388,
    available_sessions=1250,
    available_replies=4410,
    first_used_at=None,
    last_used_at=None,
)


@get(
    "/bench/{resource_type:str}/{resource_id:str}/usage-summary",
    opt={OPERATION: get_summary.opt[OPERATION]},
)
async def answer_nothing(request: Request) -> UsageSummary:
    """Answer what is known before."""
    assert request is not None
    return _NOTHING


class WithBareRoute(Edge):
    """The service behind a route that the server alone answers."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what is known before, or let the service answer."""
        if scope.get("path") != BARE_PATH:
            await super().__call__(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": _BARE_HEADERS})
        await send({"type": "http.response.body", "body": _BARE_BODY})


_BARE_BODY = msgspec.json.encode(_NOTHING)
_BARE_HEADERS = [
    (b"content-type", b"application/json"),
    (b"content-length", str(len(_BARE_BODY)).encode()),
]


def main() -> None:
    """Serve until the process is ended."""
    app.Edge = WithBareRoute  # type: ignore[attr-defined]  # around the service
    app.ROUTES = (*app.ROUTES, answer_nothing)  # type: ignore[assignment, misc]  # one more
    serve(load_settings(), lambda address: print(address, flush=True))
    os._exit(0)  # as the command does


if __name__ == "__main__":
    main()
