"""Heads of requests: the line and the header fields that come before a body, never too long.

The HTTP server itself has wider limits, at which it ends the connection with a bare status: no head
is longer than ``buffer_bytes``, none has more than 100 fields, and no URL is longer than 65,534.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from applyrate.errors import ApplyrateError, HeadersTooLarge, UriTooLong
from applyrate.settings import Settings


class HeadLimits(Struct, frozen=True):
    """How long the head of a request may be."""

    max_url_bytes: int
    max_headers: int
    max_header_bytes: int

    @classmethod
    def of(cls, settings: Settings) -> "HeadLimits":
        """The limits that are set."""
        return cls(settings.max_url_bytes, settings.max_headers, settings.max_header_bytes)

    @property
    def buffer_bytes(self) -> int:
        """How much of a connection the server must hold to see a head that is just too long."""
        return max(2 * (self.max_url_bytes + self.max_header_bytes), _LEAST_BUFFER_BYTES)

    def fault(self, scope: Mapping[str, Any]) -> ApplyrateError | None:
        """What is wrong with the head of an ASGI request, if anything is."""
        url_bytes = len(scope["raw_path"]) + len(scope["query_string"])
        if scope["query_string"]:
            url_bytes += len("?")
        if url_bytes > self.max_url_bytes:
            return UriTooLong(f"the URL: {url_bytes} bytes, and {self.max_url_bytes} are the most")
        headers = scope["headers"]
        if len(headers) > self.max_headers:
            return HeadersTooLarge(
                f"the header fields: {len(headers)} of them, and {self.max_headers} are the most"
            )
        header_bytes = sum(len(name) + len(value) + _AROUND_FIELD for name, value in headers)
        if header_bytes > self.max_header_bytes:
            return HeadersTooLarge(
                f"the header fields: {header_bytes} bytes in all, and {self.max_header_bytes} are"
                " the most"
            )
        return None


_LEAST_BUFFER_BYTES: Final = 65_536
_AROUND_FIELD: Final = len(": \r\n")
