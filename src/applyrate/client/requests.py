"""What requests have in common: the address, the headers, and when to send one again."""

from functools import cache
from importlib.metadata import version
from typing import Final

import httpx

from applyrate.client.backoff import backoff_seconds
from applyrate.client.calls import Call
from applyrate.errors import (
    ApplyrateError,
    InvalidInput,
    TooManyRequests,
    Unavailable,
    Unreachable,
)


def checked_url(url: str) -> str:
    """The address of a service, without a slash at its end. Raises InvalidInput."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        raise InvalidInput(f"url: {url!r} is no address: {error}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise InvalidInput(f"url: {url!r} is no http or https address")
    return url.rstrip("/")


def request_headers(key: str | None) -> dict[str, str]:
    """What every request carries. Raises InvalidInput for what cannot be a key or token."""
    headers = {"User-Agent": _user_agent()}
    if key is not None:
        if not (key.isascii() and key.isprintable() and key.strip() == key != ""):
            raise InvalidInput("key: it is empty, or has characters that no key or token has")
        headers["Authorization"] = f"Bearer {key}"
    return headers


_FIRST_DELAY_SECONDS: Final = 0.25
_LONGEST_DELAY_SECONDS: Final = 60


def delay_before_next(
    call: Call[object], error: ApplyrateError, attempt: int, max_retries: int
) -> float | None:
    """How long to wait before another try; None where there should be none."""
    if attempt >= max_retries:
        return None
    jitter = backoff_seconds(attempt, first=_FIRST_DELAY_SECONDS, longest=_LONGEST_DELAY_SECONDS)
    match error:
        case TooManyRequests() | Unavailable():
            # Neither took anything of the request.
            delay_seconds = error.retry_after_seconds + jitter
            return delay_seconds if error.retry_after_seconds <= _LONGEST_DELAY_SECONDS else None
        case Unreachable() if call.repeatable:
            return jitter
    return None


@cache
def _user_agent() -> str:
    return f"applyrate-python/{version('applyrate')}"
