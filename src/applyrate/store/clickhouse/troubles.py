"""Troubles: what an error of ClickHouse means for whoever asked."""

from typing import Final

from clickhouse_connect.driver.exceptions import ClickHouseError

from applyrate.errors import Unavailable
from applyrate.store.limits import QueryLimits

_TOO_MANY_ROWS: Final = 158
_TIMEOUT_EXCEEDED: Final = 159
_TOO_SLOW: Final = 160
_REFUSED_AS_NAMED: Final = {192, 193, 194, 497, 516}
"""An unknown user, a wrong password or what the user may not do."""

_OUR_FAULT: Final = {6, 27, 43, 44, 46, 47, 53, 62, 184, 215, 386}
"""A statement that cannot be read, or does not fit its tables or values: trying again is no use."""

_AGAIN_SECONDS: Final = 1
_LATER_SECONDS: Final = 5


def explain(error: ClickHouseError, limits: QueryLimits) -> Exception:
    """The error to answer with; the same one where the statement itself is at fault."""
    code = getattr(error, "code", None)
    if code in _OUR_FAULT:
        return error
    if code in (_TIMEOUT_EXCEEDED, _TOO_SLOW):
        return Unavailable(
            f"the store was asked for more than it answers in {limits.seconds:g} seconds; ask for"
            " a shorter window, or raise APPLYRATE_MAX_QUERY_SECONDS",
            retry_after_seconds=_LATER_SECONDS,
            limit="max_query_seconds",
        )
    if code == _TOO_MANY_ROWS:
        return Unavailable(
            f"the store would have to read more than {limits.rows} rows; ask for a shorter window,"
            " or raise APPLYRATE_MAX_QUERY_ROWS",
            retry_after_seconds=_LATER_SECONDS,
            limit="max_query_rows",
        )
    said = " ".join(str(error).split())[:500]
    if code in _REFUSED_AS_NAMED:
        return Unavailable(
            f"ClickHouse does not let the store's user do this: {said}",
            retry_after_seconds=_LATER_SECONDS,
        )
    return Unavailable(
        f"ClickHouse cannot do it now: {said}; try again later", retry_after_seconds=_AGAIN_SECONDS
    )
