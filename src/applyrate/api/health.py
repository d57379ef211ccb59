"""Whether the service is alive."""

from http import HTTPStatus
from typing import Literal

from litestar import get
from msgspec import Struct

from applyrate.api.operations import OPERATION, Operation


class Health(Struct, frozen=True):
    """The service answers."""

    status: Literal["ok"] = "ok"


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
