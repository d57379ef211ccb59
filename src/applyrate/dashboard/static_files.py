"""Serving scripts and styles, which a browser may keep: their names change with their content."""

from http import HTTPStatus

from litestar import Response, get

from applyrate.api.request import Request
from applyrate.dashboard.admission import OPEN
from applyrate.dashboard.assets import PREFIX, load_assets
from applyrate.errors import NotFound


@get(PREFIX + "/{name:str}", opt={OPEN: True}, sync_to_thread=False)
def get_file(request: Request) -> Response[bytes]:
    """A file, compressed where the browser takes it. Raises NotFound."""
    name = request.path_text("name")
    asset = load_assets().find(name)
    if asset is None:
        raise NotFound(f"{request.scope['path']}: there is no such file; load the page again")
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
    content = asset.content
    if asset.gzipped is not None and "gzip" in request.headers.get("accept-encoding", ""):
        content = asset.gzipped
        headers["Content-Encoding"] = "gzip"
    return Response(
        content, status_code=HTTPStatus.OK, media_type=asset.media_type, headers=headers
    )
