"""Request bodies: of a known type, inflated as they come, never longer than they may be."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Collection, Iterator
from typing import Final

from msgspec import Struct

from applyrate.api.pace import Pace
from applyrate.api.request import Request
from applyrate.errors import InvalidInput, PayloadTooLarge, UnsupportedMediaType

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
PROTOBUF: Final = "application/x-protobuf"
CSV: Final = "text/csv"
TEXT: Final = "text/plain"
OPEN_METRICS: Final = "application/openmetrics-text"
PARQUET: Final = "application/vnd.apache.parquet"

_PIECE_BYTES: Final = 65_536


def media_type(request: Request, known: Collection[str]) -> str:
    """The Content-Type of the body, without its parameters. Raises UnsupportedMediaType."""
    given = request.headers.get("content-type", "")
    kind, _, parameters = given.partition(";")
    kind = kind.strip().lower()
    charset = parameters.replace('"', "").replace(" ", "").lower()
    if kind not in known or charset not in ("", "charset=utf-8"):
        told = f"{given!r} is not" if given else "missing; send"
        raise UnsupportedMediaType(f"Content-Type: {told} {' or '.join(known)}")
    return kind


async def read_json(request: Request) -> bytes:
    """The whole of a JSON body. Raises UnsupportedMediaType, PayloadTooLarge, InvalidInput."""
    media_type(request, (JSON,))
    return await read_all(request)


async def read_all(
    request: Request,
    *,
    max_bytes: int | None = None,
    way_out: str = f"send less at once, or replies as {NDJSON}, which may be of any length",
) -> bytes:
    """The whole body, as long as the settings let one be, both as it was sent and inflated.

    One that may have ``max_bytes`` alone is short, and not counted among those that fill memory.

    Raises PayloadTooLarge, RequestTimeout, UnsupportedMediaType, InvalidInput, and Unavailable
    where other bodies take all the memory that there is for them.
    """
    limit = _Limit(max_bytes or request.services.settings.max_body_bytes, way_out)
    limit.check(_announced_bytes(request))
    body = bytearray()
    async for piece in read_pieces(request, limit):
        if max_bytes is None:
            request.body_share.take(len(piece))
        body += piece
        limit.check(len(body))
    return bytes(body)


class _Limit(Struct, frozen=True):
    """How long a body may be; ``way_out``: what to do with one that is longer."""

    max_bytes: int
    way_out: str

    def check(self, length: int) -> None:
        """Raise PayloadTooLarge for a longer body."""
        if length > self.max_bytes:
            raise PayloadTooLarge(
                f"the body: longer than {self.max_bytes} bytes; {self.way_out}",
                limit="max_body_bytes",
            )


async def read_pieces(request: Request, limit: _Limit | None = None) -> AsyncIterator[bytes]:
    """The body as it comes, inflated, in pieces of at most 64 KiB or of what the socket gave.

    Raises UnsupportedMediaType for an encoding other than gzip, InvalidInput where the body breaks
    off or its gzip data is damaged, PayloadTooLarge where more is sent than the limit allows or
    inflates to more than the settings allow, RequestTimeout where it comes too slowly.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip"):
        raise UnsupportedMediaType(f"Content-Encoding: {encoding!r} is not gzip or identity")
    if encoding == "identity":
        async for piece in _receive(request, limit):
            yield piece
        return
    inflater = _Inflater(request.services.settings.max_inflation)
    async for piece in _receive(request, limit):
        for inflated in inflater.feed(piece):
            yield inflated
            await asyncio.sleep(0)  # a little data may inflate to much: let others have a turn
    yield inflater.finish()


def _announced_bytes(request: Request) -> int:
    """The Content-Length, so that a body which is too long need not be sent first."""
    text = request.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() else 0


async def _receive(request: Request, limit: _Limit | None) -> AsyncIterator[bytes]:
    received = 0
    pace = Pace(request.services.settings)
    while True:
        message = await pace.wait_for(request.receive)
        if message["type"] != "http.request":
            raise InvalidInput("the body: it breaks off before its end")
        received += len(message["body"])
        if limit:
            limit.check(received)
        yield message["body"]
        if not message["more_body"]:
            return


class _Inflater:
    """Inflates gzip data piece by piece; one stream may be several members in a row.

    The first mebibyte may be inflated of however little.
    """

    def __init__(self, max_inflation: int) -> None:
        self._max_inflation = max_inflation
        self._fed = self._inflated = 0
        self._member = _gzip_member()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What this piece inflates to, in pieces of its own."""
        self._fed += len(data)
        try:
            while data:
                if self._member.eof:
                    self._member = _gzip_member()
                inflated = self._member.decompress(data, _PIECE_BYTES)
                self._count(inflated)
                yield inflated
                data = self._member.unconsumed_tail or self._member.unused_data
        except zlib.error as error:
            raise InvalidInput(f"the body: its gzip data is damaged ({error})") from None

    def finish(self) -> bytes:
        """The rest, once all data was fed."""
        rest = self._member.flush()
        if not self._member.eof:
            raise InvalidInput("the body: its gzip data ends too early")
        return rest

    def _count(self, inflated: bytes) -> None:
        self._inflated += len(inflated)
        if self._inflated > max(_ANY_INFLATION_BYTES, self._fed * self._max_inflation):
            raise PayloadTooLarge(
                f"the body: its gzip data inflates to more than {self._max_inflation} times its"
                " length; send it without compression"
            )


_ANY_INFLATION_BYTES: Final = 1024 * 1024


def _gzip_member() -> "zlib._Decompress":
    return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
