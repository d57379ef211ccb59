"""Limits: how long one query may take and how many rows it may read."""

from msgspec import Struct


class QueryLimits(Struct, frozen=True):
    """What a query may cost the cluster, 0 for no limit."""

    seconds: float = 30
    rows: int = 20_000_000_000
