"""Whether the service is alive."""

from http import HTTPStatus

from litestar import get

from applyrate.answers import Health
from applyrate.api.operations import OPERATION, Operation


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
