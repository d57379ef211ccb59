"""Outcomes: what became of the conversations with a resource, and of those without it."""

from functools import partial
from http import HTTPStatus
from typing import Final

from litestar import get

from applyrate.answers import ResourceOutcomes
from applyrate.api.operations import EVERY_KEY, OPERATION, SCOPES_TOLD, Operation
from applyrate.api.parameters import FROM, RESOURCE_ID, RESOURCE_TYPE, TO
from applyrate.api.reading import in_thread, path_type, read_window
from applyrate.api.request import Request
from applyrate.outcomes import LEAST_SAMPLE, compare_outcomes

_EXAMPLE: Final = {
    "applied": {
        "session_count": 214,
        "handoff": {
            "count": 17,
            "sample_count": 214,
            "share": 0.079439,
            "low": 0.050187,
            "high": 0.123524,
        },
        "resolution": {
            "count": 171,
            "sample_count": 190,
            "share": 0.9,
            "low": 0.849103,
            "high": 0.935043,
        },
        "csat": {"sample_count": 24, "mean": 4.5, "low": 3.759845, "high": 4.826227},
    },
    "not_applied": {
        "session_count": 1036,
        "handoff": {
            "count": 207,
            "sample_count": 1036,
            "share": 0.199807,
            "low": 0.176587,
            "high": 0.225245,
        },
        "resolution": {
            "count": 640,
            "sample_count": 800,
            "share": 0.8,
            "low": 0.770877,
            "high": 0.826255,
        },
        "csat": {"sample_count": 130, "mean": 4.0, "low": 3.676462, "high": 4.266135},
    },
    "verdict": {"handoff": "lower", "resolution": "higher", "csat": "too_few"},
}


@get(
    "/resource-usage/{resource_type:str}/{resource_id:str}/outcomes",
    opt={
        OPERATION: Operation(
            operation_id="getResourceOutcomes",
            tag="Insights",
            summary="Compare the outcomes of conversations with and without a resource",
            description=(
                "What became of the conversations that applied the resource inside the window, and"
                " of those that had it available and did not: handoffs, resolutions and"
                " satisfaction, each with its sample and its 95 % interval (Wilson's score"
                " interval; of the scores, that of their mean)."
                "\n\nThe verdict is `higher` or `lower` where the intervals do not meet,"
                " `no_difference` where they do, and `too_few` where one of the samples has fewer"
                f" than {LEAST_SAMPLE} conversations. It tells of a difference and not of its"
                " cause."
                f"\n\n{SCOPES_TOLD}"
            ),
            parameters=(FROM, TO, RESOURCE_TYPE, RESOURCE_ID),
            answer=ResourceOutcomes,
            answer_description="Both groups, and whether they differ.",
            example=_EXAMPLE,
            errors=(HTTPStatus.BAD_REQUEST, *EVERY_KEY),
        )
    },
)
async def get_outcomes(request: Request) -> ResourceOutcomes:
    """Answer from a thread: the question scans."""
    resource_type = path_type(request)
    resource_id = request.path_text("resource_id")
    window = read_window(request.query_texts("from", "to"))
    ask = request.services.store.outcomes
    outcomes = await in_thread(
        request, partial(ask, request.caller.org, resource_type, resource_id, window)
    )
    return compare_outcomes(outcomes)
