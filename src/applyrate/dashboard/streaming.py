"""The stream that a page follows to stay live: what the API's ``GET /stream`` tells, by session."""

from datetime import UTC, datetime
from functools import partial

from litestar import get
from litestar.types import ASGIApp

from applyrate.api.reading import at_once
from applyrate.api.request import Request
from applyrate.api.streams import open_stream
from applyrate.dashboard.addresses import STREAM
from applyrate.dashboard.admission import session_token
from applyrate.dashboard.sessions import find_session
from applyrate.dashboard.views import View
from applyrate.errors import Unauthenticated


@get(STREAM)
async def follow_changes(request: Request) -> ASGIApp:
    """Answer with changes of what the session may see, until it ends.

    Raises Forbidden, TooManyRequests or Unavailable, as the API's route does.
    """
    request.caller.require(("chat-sessions:read",))
    store, token = request.services.store, session_token(request)

    async def admit() -> None:
        now = datetime.now(UTC)
        if token is None or not await at_once(request, partial(find_session, store, token, now)):
            raise Unauthenticated("the session has ended")

    return open_stream(request, admit)


async def stream_url(request: Request) -> str:
    """The stream of what changes from now on.

    To be asked for before a page's numbers are read, so that none changes unnoticed meanwhile.
    """
    changes = await at_once(request, partial(request.services.store.changes, request.caller.org))
    version = changes.version
    return f"{STREAM}?last_event_id={version}"


def is_live(view: View) -> bool:
    """Whether what is recorded now can change what a view shows."""
    to_at = view.picked.window.to_at
    return to_at is None or to_at > datetime.now(UTC)
