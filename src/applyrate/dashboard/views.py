"""What a page is about: a type of resource in a window, as its URL has it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode

from msgspec import Struct

from applyrate.api.operations import READ_SCOPES
from applyrate.api.request import Request
from applyrate.dashboard.windows import PickedWindow, pick_window
from applyrate.errors import InvalidInput
from applyrate.usage import ResourceType

TYPE_LABELS: Final = {
    ResourceType.INSTRUCTION: "Instructions",
    ResourceType.KNOWLEDGE: "Knowledge",
    ResourceType.ACTION: "Actions",
}
"""The types in the order of the switch."""

PICKED: Final = ("preset", "from", "to", "timezone", "type")
"""The parameters of a view."""


class View(Struct, frozen=True):
    """A type of resource in a window; every link on a page keeps both."""

    resource_type: ResourceType
    picked: PickedWindow

    @property
    def query(self) -> dict[str, str]:
        """The parameters of a URL that has the same view; none for what is the default."""
        query = self.picked.query
        if self.resource_type is not DEFAULT_TYPE:
            query["type"] = self.resource_type.value
        return query

    def url(self, path: str, **parameters: str | int | None) -> str:
        """A link that keeps the view. A parameter replaces one of the view's; None leaves it out.

        Names of parameters that are Python's own words end in an underscore: ``from_``.
        """
        query: dict[str, str | int | None] = {**self.query}
        query |= {name.removesuffix("_"): value for name, value in parameters.items()}
        given = {name: value for name, value in query.items() if value not in (None, "")}
        return f"{path}?{urlencode(given)}" if given else path


DEFAULT_TYPE: Final = ResourceType.INSTRUCTION


def read_view(request: Request, resource_type: ResourceType | None = None) -> View:
    """The view that a request's query names, or of the type that its path has named.

    Raises InvalidInput for what is none, Forbidden for a type that the caller may not see.
    """
    query = request.query_texts(*PICKED)
    if resource_type is None:
        resource_type = _resource_type(query, request)
    request.caller.require(READ_SCOPES[resource_type])
    return View(resource_type, pick_window(query, datetime.now(UTC)))


def may_see(request: Request, resource_type: ResourceType) -> bool:
    """Whether the caller holds the scopes of a type."""
    scopes = request.caller.scopes
    return scopes is None or scopes.issuperset(READ_SCOPES[resource_type])


def _resource_type(query: Mapping[str, str], request: Request) -> ResourceType:
    text = query.get("type")
    if not text:
        seen = (kind for kind in TYPE_LABELS if may_see(request, kind))
        return next(seen, DEFAULT_TYPE)
    try:
        return ResourceType(text)
    except ValueError:
        raise InvalidInput(f"type: {text!r} is not one of {', '.join(TYPE_LABELS)}") from None
