"""Keeping on purpose: a resource that may stay unused, such as a safety net, is marked so."""

from functools import partial
from typing import Final

from litestar import post
from litestar.response import Redirect
from litestar.status_codes import HTTP_303_SEE_OTHER

from applyrate.api.catalogue import WRITE_SCOPES
from applyrate.api.request import Request
from applyrate.dashboard.addresses import KEEP, RESOURCE, UNUSED
from applyrate.dashboard.forms import read_form
from applyrate.dashboard.queries import read_id
from applyrate.dashboard.views import View, read_view
from applyrate.errors import InvalidInput
from applyrate.usage import CatalogueEntry, ResourceType


def may_keep(request: Request, resource_type: ResourceType) -> bool:
    """Whether the caller may mark resources of a type."""
    scopes = request.caller.scopes
    return scopes is None or WRITE_SCOPES[resource_type] in scopes


def keep_url(view: View, resource_id: str) -> str:
    """Where the button's form is sent to: the address names the resource."""
    return view.url(KEEP, id=resource_id)


@post(KEEP)
async def keep_resource(request: Request) -> Redirect:
    """Mark a resource, or take the mark back, and return to the page with the button.

    Raises Forbidden without the scope for its type, InvalidInput.
    """
    view, resource_id = read_view(request), read_id(request)
    request.caller.require((WRITE_SCOPES[view.resource_type],))
    form = await read_form(request)
    keep = form.text("keep")
    if keep not in _ANSWERS:
        raise InvalidInput(f"keep: {keep!r} is not yes or no")
    entry = CatalogueEntry(type=view.resource_type, id=resource_id, keep=_ANSWERS[keep])
    services, org = request.services, request.caller.org
    await services.commits.write(
        partial(services.store.set_catalogue, org, [entry], request.caller.actor)
    )
    return Redirect(_checked(form.text("back", longest=8_192)), status_code=HTTP_303_SEE_OTHER)


_ANSWERS: Final = {"yes": True, "no": False}


def _checked(back: str) -> str:
    """A page that has the button, and nowhere else."""
    inside = back.startswith((f"{UNUSED}?", f"{RESOURCE}?"))
    return back if inside and back.isascii() and back.isprintable() else UNUSED
