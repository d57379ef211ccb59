"""Reply times: when replies were sent, and in which conversations."""

from array import array
from bisect import bisect_left
from itertools import compress
from typing import NamedTuple

import msgspec
from pyroaring import BitMap

from applyrate.store.sqlite.rows import DAY

REPLY_BYTES = 16
"""What a reply takes in memory."""


class Span(NamedTuple):
    """A window in microseconds: ``start`` ≤ t < ``end``."""

    start: int
    end: int

    def on(self, day: int) -> "Span":
        """What of a day lies inside."""
        return Span(max(self.start, day * DAY), min(self.end, (day + 1) * DAY))

    def covers(self, day: int) -> bool:
        """Whether all of a day lies inside."""
        return self.start <= day * DAY and (day + 1) * DAY <= self.end


class Timeline(NamedTuple):
    """Replies in the order of their times (microseconds), and their conversations, as ordinals."""

    times: "array[int]"
    replies: "array[int]"
    conversations: "array[int]"

    def cut(self, span: Span) -> "Timeline":
        """What lies inside a span."""
        first = bisect_left(self.times, span.start)
        end = bisect_left(self.times, span.end, first)
        return Timeline(*(column[first:end] for column in self))

    def choose(self, replies: BitMap) -> "Timeline":
        """What is of those replies."""
        if BitMap(self.replies) <= replies:
            return self
        inside = [reply in replies for reply in self.replies]
        # An array takes a list at once, and an iterator item by item.
        return Timeline(
            *(array(column.typecode, list(compress(column, inside))) for column in self)
        )

    def choose_all(self, replies: BitMap) -> "Timeline | None":
        """The same, or None where it lacks one of them."""
        chosen = self.choose(replies)
        return chosen if len(chosen.replies) == len(replies) else None


def to_timeline(columns: tuple[str | None, ...]) -> Timeline:
    """Columns that come as text, which turns into numbers in a third of the time of rows."""
    times, replies, conversations = (
        msgspec.json.decode(f"[{column or ''}]", type=list[int]) for column in columns
    )
    return Timeline(array("q", times), array("I", replies), array("I", conversations))
