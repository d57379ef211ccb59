"""Sparklines: a row of counts as a small drawing, made of SVG attributes and no style."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

WIDTH: Final = 96
HEIGHT: Final = 24
_MARGIN: Final = 2
"""Room for the line's own thickness."""


class Sparkline(Struct, frozen=True):
    """The paths of a line and of the area below it, in a box of ``WIDTH`` by ``HEIGHT``.

    ``end`` is where the line ends, and ``running`` goes on from there to the span that is not over
    yet; empty where all are.
    """

    line: str
    area: str
    end: tuple[float, float]
    running: str


def draw_sparkline(counts: Sequence[int], *, is_running: bool = False) -> Sparkline | None:
    """The drawing of counts in the order of time, from zero up to the largest.

    ``is_running``: the last of them may still grow. None where there is nothing to see: fewer than
    two counts, or nothing but zeros.
    """
    highest = max(counts, default=0)
    if len(counts) < _FEWEST or not highest:
        return None
    step = (WIDTH - 2 * _MARGIN) / (len(counts) - 1)
    scale = (HEIGHT - 2 * _MARGIN) / highest
    points = [
        (round(_MARGIN + step * place, 1), round(HEIGHT - _MARGIN - scale * count, 1))
        for place, count in enumerate(counts)
    ]
    is_running = is_running and len(points) > _FEWEST
    over = points[:-1] if is_running else points
    line = _path(over)
    running = _path(points[-2:]) if is_running else ""
    return Sparkline(line, f"{line}V{HEIGHT}H{_MARGIN}Z", over[-1], running)


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points)


_FEWEST: Final = 2
