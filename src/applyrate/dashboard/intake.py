"""The page of the intake: what came in, what of it gave no reply, and how to send more."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

from litestar import Response, get, post

from applyrate.api.request import LONGEST_IDENTIFIER, Request
from applyrate.dashboard.forms import read_form
from applyrate.dashboard.pages import in_reader_thread, render
from applyrate.dashboard.recording_lines import curl_lines, exporter_lines
from applyrate.dashboard.rejections import SOURCE_LABELS, report_rejections
from applyrate.errors import InvalidInput
from applyrate.intake.findings import CONVERSATION
from applyrate.intake.traces import Attribution
from applyrate.usage import ResourceType, Window

PATH: Final = "/dashboard/intake"
READ: Final = ("chat-sessions:read",)
WRITE: Final = ("chat-sessions:read", "chat-sessions:write")


@get(PATH)
async def show_intake(request: Request) -> Response[Any]:
    """What arrived, waits, was rejected or gave no reply. Raises Forbidden without its scope."""
    request.caller.require(READ)
    return await _page(request)


@post(PATH, status_code=HTTPStatus.OK)
async def map_attribute(request: Request) -> Response[Any]:
    """Read conversations from an attribute, too, from now on; traces that have it become replies.

    Raises Forbidden without its scopes, InvalidInput for what is no attribute's name.
    """
    request.caller.require(WRITE)
    name = (await read_form(request)).text("attribute", longest=LONGEST_IDENTIFIER)
    if not name:
        raise InvalidInput("attribute: empty; name the one that holds the conversation")
    attribution = await request.services.traces.attribute(request.caller.org, name)
    return await _page(request, mapped=name, attribution=attribution)


async def _page(
    request: Request, *, mapped: str = "", attribution: Attribution | None = None
) -> Response[Any]:
    caller, services = request.caller, request.services
    inbox, org = services.traces.inbox, caller.org
    unattributed = await services.traces.unattributed(org)
    totals, depth, rejected = await in_reader_thread(
        request,
        lambda: (
            services.store.type_totals(org, ResourceType.INSTRUCTION, Window()),
            inbox.depth(org),
            report_rejections(inbox, org, datetime.now(UTC)),
        ),
    )
    base_url = str(request.base_url).rstrip("/")
    return render(
        request,
        "intake.html",
        unattributed=unattributed,
        session_count=totals.session_count,
        trace_count=sum(group.trace_count for group in unattributed.items),
        nameless_count=sum(
            group.trace_count for group in unattributed.items if CONVERSATION in group.missing
        ),
        depth=depth,
        rejected=rejected,
        sources=SOURCE_LABELS,
        mapped=mapped,
        attribution=attribution,
        may_map=caller.scopes is None or caller.scopes.issuperset(WRITE),
        exporter=exporter_lines(base_url),
        curl=curl_lines(base_url),
    )
