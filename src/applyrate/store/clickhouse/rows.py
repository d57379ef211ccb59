"""How rows are made: numbers of ids, times, and what tells the calls of a reply apart."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Final

from applyrate.usage import Window, utc

SINCE_EVER: Final = -(2**62)
FOR_EVER: Final = 2**62
"""Times before the first one that there is, and after the last."""

DAY: Final = 86_400_000_000
"""A UTC day in microseconds."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NUMBER_BYTES = 8
_DIGEST_BYTES = 16
_CALL_ID = 1 << 63


def to_micros(instant: datetime) -> int:
    """A datetime as microseconds since the epoch; one without offset is UTC."""
    return (utc(instant) - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """Microseconds since the epoch as a datetime in UTC."""
    return _EPOCH + timedelta(microseconds=micros)


def now_micros() -> int:
    """The present time in microseconds."""
    return time.time_ns() // 1_000


def show_micros(micros: int) -> str:
    """The time as a message tells it."""
    return from_micros(micros).isoformat().replace("+00:00", "Z")


def inside(window: Window) -> Mapping[str, int]:
    """The parameters ``start`` and ``end`` of a query about a window."""
    return {
        "start": SINCE_EVER if window.from_at is None else to_micros(window.from_at),
        "end": FOR_EVER if window.to_at is None else to_micros(window.to_at),
    }


def spans(bounds: list[int]) -> Mapping[str, object]:
    """The parameters of a query about the spans between rising bounds in microseconds."""
    return {"start": bounds[0], "end": bounds[-1], "bounds": bounds}


class Numbers:
    """The numbers that stand for ids, hashed with a secret of the store's own."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def reply(self, reply_id: str) -> int:
        """The number of a reply, 64 bits."""
        return int.from_bytes(self._hash(reply_id, b"reply")[:_NUMBER_BYTES], "little")

    def conversation(self, session_id: str) -> int:
        """The number of a conversation, 64 bits."""
        return int.from_bytes(self.digest(session_id)[:_NUMBER_BYTES], "little")

    def digest(self, session_id: str) -> bytes:
        """What stands for an erased conversation, 128 bits."""
        return self._hash(session_id, b"conversation")

    def _hash(self, name: str, of: bytes) -> bytes:
        return blake2b(
            name.encode(), key=self._secret, person=of, digest_size=_DIGEST_BYTES
        ).digest()


def call_number(call: int | str) -> int:
    """The number of an invocation: its place, or the hash of the id that its source gave it."""
    if isinstance(call, int):
        return call
    digest = blake2b(call.encode(), digest_size=_NUMBER_BYTES).digest()
    return int.from_bytes(digest, "little") | _CALL_ID
