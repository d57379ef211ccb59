"""Whether the service is alive, and whether it can do its work."""

from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Response, get

from applyrate.answers import Health, ReadinessReport
from applyrate.api.operations import OPERATION, Operation
from applyrate.api.readiness import failing_parts
from applyrate.api.request import Request
from applyrate.errors import error_body


@get(
    "/health/live",
    sync_to_thread=False,
    opt={
        OPERATION: Operation(
            operation_id="getLiveness",
            tag="Service",
            summary="Tell whether the service is alive",
            description="Needs no key and has no limit.",
            public=True,
            status=HTTPStatus.OK,
            answer=Health,
            answer_description="It is.",
            example={"status": "ok"},
        )
    },
)
def get_liveness() -> Health:
    """Answer, which is all."""
    return Health()


@get(
    "/health/ready",
    opt={
        OPERATION: Operation(
            operation_id="getReadiness",
            tag="Service",
            summary="Tell whether the service can do its work",
            description=(
                "Says of each part how it is: `ok`; `degraded`, when it is slower than it should"
                " be; `failing`, with the `problem`. While one is failing, the answer is 503, whose"
                " body has the `parts` beside what every error has. It is at most a second old."
                " Needs no key and has no limit."
            ),
            public=True,
            answer=ReadinessReport,
            answer_description="It can: no part is failing.",
            example={
                "parts": {
                    "store": {"status": "ok"},
                    "inbox": {"status": "ok"},
                    "disk": {"status": "ok"},
                    "migrations": {"status": "ok"},
                    "span_processes": {"status": "ok"},
                },
                "status": "ready",
            },
            errors=(HTTPStatus.SERVICE_UNAVAILABLE,),
        )
    },
)
async def get_readiness(request: Request) -> Response[Any]:
    """Answer with every part, 503 where one is failing."""
    parts = await request.services.readiness.look()
    failing = failing_parts(parts)
    if not failing:
        return Response(ReadinessReport(parts))
    told = "; ".join(f"{name}: {part.problem}" for name, part in failing.items())
    status = HTTPStatus.SERVICE_UNAVAILABLE
    return Response(
        {**msgspec.structs.asdict(error_body(status, told)), "parts": parts},
        status_code=status,
        headers={"Retry-After": "1"},
    )
