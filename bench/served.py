"""The service as it is measured: Applyrate itself, with one more route that does nothing.

    python -m bench.served

serves as ``applyrate serve`` does, with the settings of the environment. The route is the summary's
with an answer that is always the same: what is left is the server, the framework, admission, the
path, and the encoding of a typed answer.
"""

import os

from litestar import get

from applyrate.api import app
from applyrate.api.operations import OPERATION
from applyrate.api.request import Request
from applyrate.api.resource_usage import get_summary
from applyrate.api.serving import serve
from applyrate.settings import load_settings
from applyrate.usage import UsageSummary

EMPTY_PATH = "/bench/{resource_type}/{resource_id}/usage-summary"

_NOTHING = UsageSummary(
    session_count=214,
    applied_sessions=214,
    applied_replies=388,
    available_sessions=1250,
    available_replies=4410,
    first_used_at=None,
    last_used_at=None,
)


@get(
    "/bench/{resource_type:str}/{resource_id:str}/usage-summary",
    opt={OPERATION: get_summary.opt[OPERATION]},
)
async def answer_nothing(request: Request) -> UsageSummary:
    """Answer what is known before."""
    assert request is not None
    return _NOTHING


def main() -> None:
    """Serve until the process is ended."""
    app.ROUTES = (*app.ROUTES, answer_nothing)  # type: ignore[assignment, misc]  # one more
    serve(load_settings(), lambda address: print(address, flush=True))
    os._exit(0)  # as the command does


if __name__ == "__main__":
    main()
