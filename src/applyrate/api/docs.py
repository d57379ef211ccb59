"""The document, and the page that shows it in a browser."""

from http import HTTPStatus

from litestar import Response, get
from litestar.response import Redirect

from applyrate.api.components import Json
from applyrate.api.operations import OPERATION, Operation
from applyrate.api.request import Request


@get(
    "/openapi.json",
    sync_to_thread=False,
    opt={OPERATION: Operation(operation_id="getDocument", public=True, hidden=True)},
)
def get_document(request: Request) -> Json:
    """The document that describes the service."""
    return request.services.document


@get(
    "/docs",
    sync_to_thread=False,
    opt={OPERATION: Operation(operation_id="getDocumentation", public=True, hidden=True)},
)
def get_page(request: Request) -> Response[bytes]:
    """The document as a page that loads nothing else."""
    # The templates' engine is needed here alone, and a start is quicker without it.
    from applyrate.api.docs_page import CONTENT_SECURITY_POLICY, render

    services = request.services
    base_url = str(request.base_url).rstrip("/")
    page = render(services.document, services.operations, base_url=base_url)
    return Response(
        page.encode(),
        media_type="text/html",
        headers={
            "Content-Security-Policy": CONTENT_SECURITY_POLICY,
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        },
    )


@get(
    "/",
    status_code=HTTPStatus.FOUND,
    sync_to_thread=False,
    opt={OPERATION: Operation(operation_id="getFront", public=True, hidden=True)},
)
def get_front() -> Redirect:
    """Lead whoever opens the address to the dashboard."""
    return Redirect("/dashboard")
