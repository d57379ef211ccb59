"""Functions that are actions: each call of one is an invocation."""

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import aclosing
from typing import Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")


def noting(function: Callable[P, R], note: Callable[[], None]) -> Callable[P, R]:
    """The function, of its own kind still, with ``note`` called whenever its body begins to run."""
    body: Any = function
    wrapper: Callable[..., Any]
    if inspect.iscoroutinefunction(function):

        async def wrapper(*args: P.args, **kwargs: P.kwargs) -> Any:
            note()
            return await body(*args, **kwargs)

    elif inspect.isasyncgenfunction(function):

        async def wrapper(*args: P.args, **kwargs: P.kwargs) -> AsyncIterator[Any]:
            note()
            async with aclosing(body(*args, **kwargs)) as items:
                async for item in items:
                    yield item

    elif inspect.isgeneratorfunction(function):

        def wrapper(*args: P.args, **kwargs: P.kwargs) -> Generator[Any, Any, Any]:
            note()
            return (yield from body(*args, **kwargs))

    else:

        def wrapper(*args: P.args, **kwargs: P.kwargs) -> Any:
            note()
            return body(*args, **kwargs)

    return cast("Callable[P, R]", functools.wraps(function)(wrapper))
