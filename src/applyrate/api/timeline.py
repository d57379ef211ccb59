"""How the usage of a resource went over time: the summary's counts for each bucket of a window."""

from datetime import UTC, datetime, tzinfo
from http import HTTPStatus
from itertools import pairwise
from typing import Final

import msgspec
from litestar import Response, get

from applyrate.answers import Timeline, TimelineBucket
from applyrate.api.bodies import CSV, JSON
from applyrate.api.csv_answers import answer_csv
from applyrate.api.operations import EVERY_KEY, OPERATION, SCOPES_TOLD, Operation
from applyrate.api.parameters import (
    FORMAT,
    FROM,
    INTERVAL,
    RESOURCE_ID,
    RESOURCE_TYPE,
    TIMEZONE,
    TO,
)
from applyrate.api.reading import TableFormat, in_thread, path_type, read_format, read_window
from applyrate.api.request import Request
from applyrate.buckets import Interval, cut, parse_interval, parse_time_zone, whole
from applyrate.usage import Window

_EXAMPLE: Final = {
    "interval": "day",
    "timezone": "Europe/Berlin",
    "items": [
        {
            "from_at": "2026-03-29T00:00:00+01:00",
            "to_at": "2026-03-30T00:00:00+02:00",
            "session_count": 9,
            "applied_sessions": 9,
            "applied_replies": 14,
            "available_sessions": 41,
            "available_replies": 140,
            "first_used_at": "2026-03-29T05:12:44.250000Z",
            "last_used_at": "2026-03-29T20:40:03Z",
        }
    ],
}


@get(
    "/resource-usage/{resource_type:str}/{resource_id:str}/timeline",
    opt={
        OPERATION: Operation(
            operation_id="getResourceUsageTimeline",
            tag="Resource usage",
            summary="Count the usage of one resource over time",
            description=(
                "The counts of the summary for each hour, day, week or month, those without any"
                " included. The first and the last bucket are cut by the window; where it has no"
                " start or no end, the buckets reach from the resource's first usage to its last."
                f"\n\n{SCOPES_TOLD}"
            ),
            parameters=(INTERVAL, TIMEZONE, FROM, TO, FORMAT, RESOURCE_TYPE, RESOURCE_ID),
            answer=Timeline,
            answer_types=(JSON, CSV),
            answer_description="The counts in each bucket, in order.",
            example=_EXAMPLE,
            errors=(HTTPStatus.BAD_REQUEST, *EVERY_KEY),
        )
    },
)
async def get_timeline(request: Request) -> Timeline | Response[bytes]:
    """Answer from a thread: the question scans."""
    resource_type = path_type(request)
    resource_id = request.path_text("resource_id")
    query = request.query_texts("from", "to", "interval", "timezone", "format")
    interval = parse_interval(query.get("interval", Interval.DAY))
    timezone = query.get("timezone", "UTC")
    zone = parse_time_zone(timezone)
    window = read_window(query)
    form = read_format(query)
    store, org = request.services.store, request.caller.org

    def answer() -> list[TimelineBucket]:
        closed: Window | None = window
        if window.from_at is None or window.to_at is None:
            used = store.used_window(org, resource_type, resource_id)
            closed = used and _close(window, used, interval, zone)
        bounds = cut(closed, interval, zone) if closed else []
        counts = store.timeline(
            org, resource_type, resource_id, [bound.astimezone(UTC) for bound in bounds]
        )
        return [
            TimelineBucket(from_at=from_at, to_at=to_at, **msgspec.structs.asdict(count))
            for (from_at, to_at), count in zip(pairwise(bounds), counts, strict=True)
        ]

    buckets = await in_thread(request, answer)
    if form is TableFormat.CSV:
        name = f"{resource_type}-{resource_id}-by-{interval}"
        return answer_csv(request, name, TimelineBucket, buckets)
    return Timeline(interval, timezone, buckets)


def _close(
    window: Window, used: tuple[datetime, datetime], interval: Interval, zone: tzinfo
) -> Window:
    """The window with the ends that it lacks: of the whole buckets that hold the usages."""
    whole_buckets = whole(*used, interval, zone)
    return Window(window.from_at or whole_buckets.from_at, window.to_at or whole_buckets.to_at)
