"""What happens to every request before its handler: who asks, how often, and with which scopes."""

from applyrate.api.operations import OPERATION, Operation
from applyrate.api.request import Request
from applyrate.errors import TooManyRequests


async def admit(request: Request) -> None:
    """Let a request pass to its handler, which may then ask for its caller.

    Raises Unauthenticated, TooManyRequests or Forbidden. A route is open only where its Operation
    says so.
    """
    operation: Operation = request.route_handler.opt[OPERATION]
    if operation.public or operation.opened_by(request.services.settings):
        return
    caller = await request.services.authenticator.authenticate(request.scope["headers"])
    request.scope["user"] = caller
    allowance = await request.services.limits.spend(operation.rate, caller.identity)
    if allowance is not None:
        request.add_answer_headers(allowance.headers)
        if not allowance.granted:
            raise TooManyRequests(
                f"the key has used its {allowance.quota} {allowance.rate} requests of this minute;"
                f" try again in {allowance.reset_seconds} s",
                retry_after_seconds=allowance.reset_seconds,
                limit=f"{allowance.rate}_limit",
            )
    caller.require(operation.scopes)
