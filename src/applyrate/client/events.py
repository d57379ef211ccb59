"""A stream of server-sent events as the client reads it, over any number of connections."""

import random
from collections.abc import Iterator
from typing import Final, Generic, TypeVar

import httpx
import msgspec
from msgspec import Struct

from applyrate.client.answers import foreign_answer
from applyrate.client.calls import Call, Stream
from applyrate.usage import ResourceType, UsageSummary

Row = TypeVar("Row")

QUIET_SECONDS: Final = 45.0
"""After so long without a word, three times as long as the service's own, a connection is dead."""

_PAUSE_SECONDS: Final = 1.0


class UsageEvent(Struct, frozen=True):
    """The counts of all time of a resource after they changed.

    Whoever goes on ``after`` the ``version`` misses nothing.
    """

    version: int
    resource_type: ResourceType
    resource_id: str
    summary: UsageSummary


class Reading(Generic[Row]):
    """How far a stream was read, and how it goes on from there."""

    def __init__(self, stream: Stream[Row]) -> None:
        self._stream = stream
        self._last_id = stream.after
        self._answer: httpx.Response | None = None
        self._rest = b""
        self._fields: dict[bytes, bytes] = {}

    def call(self) -> Call[None]:
        """What asks for all that was not read yet."""
        headers = {"Accept": "text/event-stream"}
        if self._last_id is not None:
            headers["Last-Event-ID"] = str(self._last_id)
        return msgspec.structs.replace(self._stream.call, headers=headers)

    def patience(self, usual: httpx.Timeout) -> httpx.Timeout:
        """How long to wait for each step: for the next word as long as it may take."""
        read = None if usual.read is None else max(usual.read, QUIET_SECONDS)
        return httpx.Timeout(connect=usual.connect, read=read, write=usual.write, pool=usual.pool)

    def begin(self, answer: httpx.Response) -> None:
        """Read from a new connection; what was half read on the one before comes again."""
        self._answer, self._rest, self._fields = answer, b"", {}

    def feed(self, piece: bytes) -> Iterator[Row]:
        """The events that end in this piece. Raises ApplyrateError where one is none of ours."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            name, _, value = line.rstrip(b"\r").partition(b":")
            if line.strip():
                self._fields[name] = value.removeprefix(b" ")
            else:
                yield from self._end_event()

    def pause_seconds(self) -> float:
        """How long to wait before connecting again: random, since many were cut off together."""
        return random.uniform(0, _PAUSE_SECONDS)  # noqa: S311 (no secret)

    def _end_event(self) -> Iterator[Row]:
        fields, self._fields = self._fields, {}
        try:
            if b"id" in fields:
                self._last_id = int(fields[b"id"])
            if fields.get(b"event") == b"usage" and self._last_id is not None:
                yield self._stream.read(self._last_id, fields[b"data"])
        except (msgspec.MsgspecError, ValueError, KeyError) as error:
            assert self._answer is not None  # noqa: S101 (what is fed has come with an answer)
            raise foreign_answer(self._answer, str(error)) from None
