"""What a route promises: who may call it, what it takes, what it answers.

One value serves both: admission reads from it who may ask, the document tells it to the reader.
"""

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from msgspec import Struct

from applyrate.api.limits import Rate
from applyrate.errors import ErrorBody
from applyrate.settings import Settings
from applyrate.usage import ResourceType

OPERATION: Final = "operation"
"""The key under which a route handler's ``opt`` holds its Operation."""


class Parameter(Struct, frozen=True, kw_only=True):
    """A parameter in the path or the query, with its JSON schema. ``example`` is for a reader.

    Those in the path are always required.
    """

    name: str
    place: str
    schema: Mapping[str, Any]
    description: str
    example: str = ""
    required: bool = False

    @property
    def is_required(self) -> bool:
        """Whether a request must have it."""
        return self.required or self.place == "path"


class Operation(Struct, frozen=True, kw_only=True):
    """One route. A ``public`` one needs no key and has no limit; a ``hidden`` one is undocumented.

    ``opened_by``: whether the settings make it public.
    ``scopes`` must all be held. ``errors`` are the statuses beside ``status`` and 500.
    ``example`` is an answer, ``body_example`` a request's body, both as plain JSON values.
    ``failure`` is the body of its errors. Where the body may be protobuf, so may the answers.
    ``answer_types`` are the media types that an answer may have; ``answer`` is the JSON one.
    ``as_published``: the document describes it in everything but prose as it was published
    elsewhere, and says nothing more.
    """

    operation_id: str
    tag: str = ""
    summary: str = ""
    description: str = ""
    scopes: tuple[str, ...] = ()
    rate: Rate = Rate.STANDARD
    public: bool = False
    opened_by: Callable[[Settings], bool] = lambda _: False
    hidden: bool = False
    parameters: Sequence[Parameter] = ()
    body: type[Struct] | None = None
    body_example: Any = None
    media_types: Sequence[str] = ("application/json",)
    status: HTTPStatus = HTTPStatus.OK
    answer: type[Struct] | None = None
    answer_types: Sequence[str] = ("application/json",)
    answer_description: str = ""
    example: Any = None
    errors: Sequence[HTTPStatus] = ()
    failure: type[Struct] = ErrorBody
    as_published: bool = False


READ_SCOPES: Final[Mapping[ResourceType, tuple[str, ...]]] = {
    ResourceType.ACTION: ("actions:read", "chat-sessions:read"),
    ResourceType.INSTRUCTION: ("training:read", "chat-sessions:read"),
    ResourceType.KNOWLEDGE: ("training:read", "chat-sessions:read"),
}

SCOPES_TOLD: Final = (
    "Needs the scopes `training:read` (`actions:read` for actions) and `chat-sessions:read`."
)
"""The same for a reader."""

EVERY_KEY: Final = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
"""The errors of every route that needs a key."""

BODY_ERRORS: Final = (
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
)
"""The errors of every route that reads a body, beside 400."""
