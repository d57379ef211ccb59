"""How a number differs from the one before."""

from typing import Final

from msgspec import Struct

from applyrate.dashboard.figures import NOTHING


class Change(Struct, frozen=True):
    """How a number changed: ``direction`` is ``up``, ``down`` or ``same``; ``text`` tells it."""

    direction: str
    text: str

    @property
    def is_known(self) -> bool:
        """Whether there was anything to compare."""
        return self.text != NOTHING


def compare_counts(now: int, before: int) -> Change:
    """The change of a count in percent of what it was; ``new`` where it was nothing."""
    if now == before:
        return Change("same", "±0%" if now else NOTHING)
    if not before:
        return Change("up", "new")
    change = (now - before) / before
    if change >= _MANYFOLD:
        return Change("up", f"×{now / before:,.0f}")  # noqa: RUF001 (times)
    percent = max(1, round(abs(change) * 100))
    return Change("up", f"+{percent}%") if change > 0 else Change("down", f"{_MINUS}{percent}%")


def compare_shares(now: float | None, before: float | None) -> Change:
    """The change of a share in percentage points."""
    if now is None or before is None:
        return Change("same", NOTHING)
    points = round((now - before) * 100, 1)
    if not points:
        return Change("same", "±0 pts")
    if points > 0:
        return Change("up", f"+{points:g} pts")
    return Change("down", f"{_MINUS}{-points:g} pts")


_MANYFOLD: Final = 9.5
_MINUS: Final = "\N{MINUS SIGN}"
"""As wide as the plus."""
