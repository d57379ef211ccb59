"""Failed sign-ins, limited for each address: a guess costs time."""

from functools import cache
from typing import Final

from applyrate.api.moving_window import MovingWindow
from applyrate.api.request import Request
from applyrate.errors import TooManyRequests

MOST_FAILURES: Final = 10
PER_MINUTES: Final = 5


class Attempts:
    """The attempts of one address. A success costs none."""

    def __init__(self, failures: MovingWindow, address: str) -> None:
        self._failures = failures
        self._address = address

    @classmethod
    def of(cls, request: Request) -> "Attempts":
        """Those of the address that a request comes from; behind a proxy, of the proxy."""
        client = request.client
        return cls(_failures(), client.host if client else "")

    def require_one_left(self) -> None:
        """Raise TooManyRequests where the address has failed too often."""
        if self._failures.remaining(self._address):
            return
        seconds = self._failures.reset_seconds(self._address)
        raise TooManyRequests(
            f"{MOST_FAILURES} sign-ins from this address failed within {PER_MINUTES} minutes;"
            f" try again in {seconds} s",
            retry_after_seconds=seconds,
            limit="sign_ins",
        )

    def count_failure(self) -> None:
        """Note that an attempt failed."""
        self._failures.spend(self._address)


@cache
def _failures() -> MovingWindow:
    return MovingWindow(MOST_FAILURES, PER_MINUTES * 60)
