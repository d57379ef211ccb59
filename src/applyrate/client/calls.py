"""Calls as values: what to send and how to read the answer, whoever carries it out.

A function that builds a Call becomes, as an Operation, a method of Client and AsyncClient with the
function's own parameters: it returns the result on the one, and a coroutine of it on the other. A
function that builds Rows, Lines or a Stream becomes, as a Listing, one that goes through them all.
"""

import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    ParamSpec,
    Protocol,
    Self,
    TypeVar,
    overload,
)

from msgspec import Struct

if TYPE_CHECKING:
    from applyrate.client.client import AsyncClient, Client

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Row = TypeVar("Row")
Row_co = TypeVar("Row_co", covariant=True)


class Call(Struct, Generic[T_co], frozen=True, kw_only=True):
    """One request, and how its answer is read.

    ``path`` is percent-encoded. ``repeatable``: carrying it out twice is as good as once.
    """

    method: str
    path: str
    read: Callable[[bytes], T_co]
    query: Mapping[str, str] = {}
    body: bytes | None = None
    headers: Mapping[str, str] = {}
    repeatable: bool = True


class Page(Protocol[Row_co]):
    """Some rows of a list, and the cursor of those that follow, None at the end."""

    @property
    def items(self) -> Sequence[Row_co]:
        """The rows, in the list's order."""
        ...

    @property
    def next(self) -> str | None:
        """What the next page is asked for with."""
        ...


class Rows(Struct, Generic[Row], frozen=True):
    """All rows of a list: the Call for the page at a cursor, None being the first."""

    page: Callable[[str | None], Call[Page[Row]]]


class Lines(Struct, Generic[Row], frozen=True):
    """All rows of one long answer with a row on each line; the Call reads a line."""

    call: Call[Row]


class Stream(Struct, Generic[Row], frozen=True):
    """Events of an answer without an end, each read with its id. ``after``: the last one known."""

    call: Call[None]
    read: Callable[[int, bytes], Row]
    after: int | None


class Operation(Generic[P, T]):
    """A method of either client, made from the function that builds its Call."""

    def __init__(self, build: Callable[P, Call[T]]) -> None:
        self._build = build
        self.__doc__ = build.__doc__

    @overload
    def __get__(self, client: None, owner: type) -> Self: ...
    @overload
    def __get__(self, client: "Client", owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(
        self, client: "AsyncClient", owner: type
    ) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, client: "Client | AsyncClient | None", owner: type) -> Any:
        """The method of that client."""
        if client is None:
            return self

        @functools.wraps(self._build)
        def operation(*args: P.args, **kwargs: P.kwargs) -> object:
            return client.carry_out(self._build(*args, **kwargs))

        return operation


class Listing(Generic[P, Row]):
    """A method of either client that iterates, made from the function that builds its rows.

    A page is asked for when its first row is, and a long answer is read as far as its rows are.
    """

    def __init__(self, build: Callable[P, Rows[Row] | Lines[Row] | Stream[Row]]) -> None:
        self._build = build
        self.__doc__ = build.__doc__

    @overload
    def __get__(self, client: None, owner: type) -> Self: ...
    @overload
    def __get__(self, client: "Client", owner: type) -> Callable[P, Iterator[Row]]: ...
    @overload
    def __get__(self, client: "AsyncClient", owner: type) -> Callable[P, AsyncIterator[Row]]: ...
    def __get__(self, client: "Client | AsyncClient | None", owner: type) -> Any:
        """The method of that client."""
        if client is None:
            return self

        @functools.wraps(self._build)
        def listing(*args: P.args, **kwargs: P.kwargs) -> object:
            return client.iterate(self._build(*args, **kwargs))

        return listing
