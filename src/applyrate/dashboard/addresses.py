"""Where pages about one thing are. Ids are in the query: in a path, ``..`` would not arrive."""

from typing import Final
from urllib.parse import quote

import msgspec

from applyrate.dashboard.views import View
from applyrate.usage import ResourceType

OVERVIEW: Final = "/dashboard"
RESOURCE: Final = "/dashboard/resource"
UNUSED: Final = "/dashboard/unused"
UNUSED_CSV: Final = "/dashboard/unused.csv"
KEEP: Final = "/dashboard/keep"
CONVERSATION: Final = "/dashboard/conversation"
STREAM: Final = "/dashboard/stream"


def resource_url(view: View, resource_type: ResourceType, resource_id: str) -> str:
    """The page of a resource, in the window of a view."""
    of_type = msgspec.structs.replace(view, resource_type=resource_type)
    return of_type.url(RESOURCE, id=resource_id)


def to_anchor(resource_id: str) -> str:
    """A resource's part of an HTML id, which has no white space."""
    return quote(resource_id, safe="")


def conversation_url(view: View, session_id: str) -> str:
    """The page of a conversation, from where the view is kept."""
    return view.url(CONVERSATION, id=session_id)
