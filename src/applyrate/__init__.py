"""Which resources an AI support agent really uses.

What a program that reports to the service, or asks it, needs is to be had from here. It is imported
when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from applyrate.client.client import AsyncClient, Client
    from applyrate.client.open_reply import OpenReply
    from applyrate.client.recorder import Recorder
    from applyrate.errors import (
        ApplyrateError,
        Forbidden,
        HeadersTooLarge,
        InvalidInput,
        NotFound,
        PayloadTooLarge,
        RequestTimeout,
        TooManyRequests,
        Unauthenticated,
        Unavailable,
        Unreachable,
        UnsupportedMediaType,
        UriTooLong,
    )
    from applyrate.usage import Applied, Available, Invocation, Reply

__all__ = [
    "Applied",
    "ApplyrateError",
    "AsyncClient",
    "Available",
    "Client",
    "Forbidden",
    "HeadersTooLarge",
    "InvalidInput",
    "Invocation",
    "NotFound",
    "OpenReply",
    "PayloadTooLarge",
    "Recorder",
    "Reply",
    "RequestTimeout",
    "TooManyRequests",
    "Unauthenticated",
    "Unavailable",
    "Unreachable",
    "UnsupportedMediaType",
    "UriTooLong",
]

_ELSEWHERE = {
    "AsyncClient": "applyrate.client.client",
    "Client": "applyrate.client.client",
    "OpenReply": "applyrate.client.open_reply",
    "Recorder": "applyrate.client.recorder",
    "Applied": "applyrate.usage",
    "Available": "applyrate.usage",
    "Invocation": "applyrate.usage",
    "Reply": "applyrate.usage",
}


if not TYPE_CHECKING:  # a type checker would believe that there is every name

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_ELSEWHERE.get(name, "applyrate.errors")), name)
