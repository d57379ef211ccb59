"""Pages: a template with its context, as an answer."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
from litestar import Response
from markupsafe import Markup, escape

from applyrate.api.reading import in_thread
from applyrate.api.request import Request
from applyrate.dashboard import figures
from applyrate.dashboard.admission import is_signed_in, session_token
from applyrate.dashboard.assets import load_assets
from applyrate.dashboard.forms import CSRF_FIELD
from applyrate.dashboard.policy import THEME_COOKIE, VISITOR_COOKIE
from applyrate.dashboard.tokens import csrf_token
from applyrate.dashboard.views import TYPE_LABELS, may_see
from applyrate.dashboard.windows import Preset

if TYPE_CHECKING:
    from jinja2 import Environment

T = TypeVar("T")

_THEMES: Final = ("light", "dark")

HTML: Final = "text/html"


def render(
    request: Request, template: str, *, status: HTTPStatus = HTTPStatus.OK, **context: Any
) -> Response[bytes]:
    """The page of a template. It is never kept: what it shows ends with the session."""
    page = _environment().get_template(template).render(_frame(request), **context)
    return Response(
        page.encode(),
        status_code=status,
        media_type=HTML,
        headers={"Cache-Control": "no-store", "Vary": "Cookie"},
    )


async def in_reader_thread(request: Request, question: Callable[[], T]) -> T:
    """What a question that scans answers, while others have the event loop."""
    return await in_thread(request, question)


def _frame(request: Request) -> Mapping[str, Any]:
    """What every template knows beside its own context."""
    token = session_token(request) if is_signed_in(request) else None
    proof = csrf_token(token or request.cookies.get(VISITOR_COOKIE, ""))
    theme = request.cookies.get(THEME_COOKIE)
    return {
        "assets": load_assets(),
        "base_url": str(request.base_url).rstrip("/"),
        "caller": request.caller if is_signed_in(request) else None,
        "csrf_field": lambda: hidden_field(proof),
        "csrf_token": proof,
        "may_see": lambda resource_type: may_see(request, resource_type),
        "now": datetime.now(UTC),
        "path": request.scope["path"],
        "theme": theme if theme in _THEMES else None,
        "view": None,
    }


def hidden_field(proof: str) -> Markup:
    """The field by which a form shows that it comes from this page."""
    return Markup('<input type="hidden" name="{}" value="{}">').format(CSRF_FIELD, proof)


@cache
def _environment() -> "Environment":
    # The templates' engine is needed by pages alone, and a start is quicker without it.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("applyrate.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= _FILTERS
    environment.globals |= {"PRESETS": list(Preset), "TYPES": TYPE_LABELS, "utc": UTC}
    return environment


def to_json_attribute(value: object) -> Markup:
    """A value as JSON that can stand in an attribute between single or double quotes."""
    return escape(msgspec.json.encode(value).decode())


_FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "count": figures.write_count,
    "counted": figures.write_counted,
    "share": figures.write_share,
    "day": figures.write_day,
    "moment": figures.write_moment,
    "ago": figures.write_ago,
    "json_attribute": to_json_attribute,
}
