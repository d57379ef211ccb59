"""A table that is sorted, searched and paged by its URL."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from applyrate.api.request import Request
from applyrate.dashboard.queries import read_page
from applyrate.dashboard.views import View
from applyrate.errors import InvalidInput
from applyrate.usage import ResourceSort

ROWS_ON_A_PAGE: Final = 25
_LONGEST_SEARCH: Final = 200
_PARAMETERS: Final = ("sort", "order", "search")


class TableState(Struct, frozen=True, kw_only=True):
    """What of a table is shown, in which order. Pages are counted from 1."""

    sort: ResourceSort = ResourceSort.LAST_USED
    descending: bool = True
    search: str = ""
    page: int = 1

    @property
    def offset(self) -> int:
        """How many rows come before the page."""
        return (self.page - 1) * ROWS_ON_A_PAGE

    @property
    def query(self) -> dict[str, str | int | None]:
        """The parameters of a URL that show the same again; none for what is the default."""
        is_natural = self.descending == descends_first(self.sort)
        return {
            "sort": None if self.sort is ResourceSort.LAST_USED else self.sort.value,
            "order": None if is_natural else "desc" if self.descending else "asc",
            "search": self.search or None,
            "page": None if self.page == 1 else self.page,
        }

    @property
    def kept(self) -> dict[str, str | int | None]:
        """What stays of it in another window: all but the page."""
        return self.query | {"page": None}

    @property
    def without_search(self) -> dict[str, str | int | None]:
        """The order alone."""
        return self.kept | {"search": None}


class Column(Struct, frozen=True, kw_only=True):
    """The head of a column. ``order`` is an ``aria-sort``; without a URL it cannot be sorted."""

    label: str
    order: str = "none"
    url: str | None = None
    is_number: bool = True


class Paging(Struct, frozen=True, kw_only=True):
    """Which of a table's rows are shown (from 1), and where the other pages are."""

    first: int
    last: int
    match_count: int
    previous_url: str | None
    next_url: str | None


def read_table_state(request: Request) -> TableState:
    """What a request's query asks of the table. Raises InvalidInput that names the parameter."""
    query = request.query_texts(*_PARAMETERS)
    sort = _sort(query.get("sort") or ResourceSort.LAST_USED)
    return TableState(
        sort=sort,
        descending=_descending(query.get("order"), sort),
        search=query.get("search", "").strip()[:_LONGEST_SEARCH],
        page=read_page(request),
    )


def descends_first(sort: ResourceSort) -> bool:
    """Whether a first click on the column brings the largest; a name begins with A."""
    return sort is not ResourceSort.NAME


def head(
    view: View,
    path: str,
    state: TableState,
    labels: Sequence[tuple[str, ResourceSort | None]],
) -> list[Column]:
    """The heads of columns, each with a link that sorts by it, or turns its order round."""
    return [_column(view, path, state, label, sort) for label, sort in labels]


def page_through(view: View, path: str, state: TableState, match_count: int) -> Paging:
    """Where a page stands among all rows."""

    def url(page: int) -> str:
        return view.url(path, **(state.query | {"page": None if page == 1 else page}))

    last = min(state.offset + ROWS_ON_A_PAGE, match_count)
    last_page = max(1, -(-match_count // ROWS_ON_A_PAGE))
    return Paging(
        first=min(state.offset + 1, last),
        last=last,
        match_count=match_count,
        previous_url=url(min(state.page - 1, last_page)) if state.page > 1 else None,
        next_url=url(state.page + 1) if last < match_count else None,
    )


def _column(
    view: View, path: str, state: TableState, label: str, sort: ResourceSort | None
) -> Column:
    if sort is None:
        return Column(label=label)
    is_sorted = sort is state.sort
    descending = not state.descending if is_sorted else descends_first(sort)
    sorted_by = TableState(sort=sort, descending=descending, search=state.search)
    return Column(
        label=label,
        order=("descending" if state.descending else "ascending") if is_sorted else "none",
        url=view.url(path, **sorted_by.query),
        is_number=sort is not ResourceSort.NAME,
    )


def _sort(text: str) -> ResourceSort:
    try:
        return ResourceSort(text)
    except ValueError:
        raise InvalidInput(f"sort: {text!r} is not one of {', '.join(ResourceSort)}") from None


def _descending(text: str | None, sort: ResourceSort) -> bool:
    if not text:
        return descends_first(sort)
    if text not in ("asc", "desc"):
        raise InvalidInput(f"order: {text!r} is not asc or desc")
    return text == "desc"
