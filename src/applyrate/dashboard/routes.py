"""Every page of the dashboard, and what happens around each."""

from typing import Final

from litestar import Router, get

from applyrate.api.request import Request
from applyrate.dashboard import (
    conversation,
    intake,
    keep,
    keys,
    overview,
    resource,
    sign_in,
    static_files,
    streaming,
    unused,
)
from applyrate.dashboard.admission import admit_reader
from applyrate.dashboard.failures import show_failure
from applyrate.errors import NotFound


@get("/dashboard/{rest:path}")
async def find_nothing(request: Request) -> None:
    """Say so in the layout of the pages."""
    raise NotFound(f"{request.scope['path']}: there is no such page")


PAGES: Final = (
    overview.show_overview,
    resource.show_resource,
    unused.show_unused,
    unused.download_unused,
    keep.keep_resource,
    conversation.show_conversation,
    streaming.follow_changes,
    intake.show_intake,
    intake.map_attribute,
    keys.show_keys,
    keys.create_key,
    keys.revoke_key,
    sign_in.show_sign_in,
    sign_in.sign_in,
    sign_in.sign_out,
    sign_in.open_link,
    static_files.get_file,
    find_nothing,
)


def dashboard() -> Router:
    """The pages as one part of the app."""
    return Router(
        path="/",
        route_handlers=PAGES,
        before_request=admit_reader,  # type: ignore[arg-type]  # request_class makes every request ours
        exception_handlers={Exception: show_failure},
    )
