"""The metrics of the service, for Prometheus or whatever reads its format."""

from http import HTTPStatus
from typing import Final

from litestar import Response, get

from applyrate.api.bodies import OPEN_METRICS, TEXT
from applyrate.api.operations import EVERY_KEY, OPERATION, Operation
from applyrate.api.reading import in_thread
from applyrate.api.request import Request
from applyrate.errors import NotFound

_EXAMPLE: Final = """\
# HELP applyrate_replies_accepted_total Replies that brought something new.
# TYPE applyrate_replies_accepted_total counter
applyrate_replies_accepted_total 48211.0
"""


@get(
    "/metrics",
    opt={
        OPERATION: Operation(
            operation_id="getMetrics",
            tag="Service",
            summary="Read the metrics of the service",
            description=(
                "All metrics of the service in the text format of Prometheus, or as OpenMetrics"
                " where the request accepts that. They are sums over all organizations and name"
                " none. The service may be set to answer everyone or nobody (404)."
            ),
            scopes=("metrics:read",),
            opened_by=lambda settings: settings.metrics != "key",
            answer_types=(TEXT, OPEN_METRICS),
            answer_description="The metrics.",
            example=_EXAMPLE,
            errors=(HTTPStatus.NOT_FOUND, *EVERY_KEY),
        )
    },
)
async def get_metrics(request: Request) -> Response[bytes]:
    """Look at the parts, and read the rest in a thread, since it asks the databases."""
    services = request.services
    if services.settings.metrics == "off":
        raise NotFound(f"{request.scope['path']}: the service is set to tell no metrics")
    await services.readiness.look()
    accept = request.headers.get("accept", "")
    text, media_type = await in_thread(request, lambda: services.metrics.expose(accept))
    if media_type.startswith(TEXT):
        media_type = media_type.replace("; charset=utf-8", "")  # which the framework adds to texts
    return Response(text, media_type=media_type)
