"""Tables as CSV: a line of column names, a row on each line, the next page in ``Link``."""

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import islice
from typing import Final
from urllib.parse import parse_qsl, urlencode

from litestar import Response
from litestar.response import Stream
from msgspec import Struct
from msgspec.structs import fields

from applyrate.api.bodies import CSV
from applyrate.api.request import Request
from applyrate.csv_rows import Cell, encode_rows


def answer_csv(
    request: Request,
    name: str,
    kind: type[Struct],
    rows: Sequence[Struct],
    *,
    nested: Sequence[tuple[str, type[Struct]]] = (),
    cursor: str | None = None,
) -> Response[bytes]:
    """Rows of one kind as a file called ``name``; ``cursor`` is where the next page starts.

    ``nested``: fields that hold a struct themselves; the columns of its fields stand at the end,
    with the field's name before theirs. Other fields that hold one have no column.
    """
    return Response(
        encode_rows(_table(kind, rows, nested)),
        media_type=CSV,
        headers={
            **_attached(name),
            **({} if cursor is None else {"Link": f'<{_next_page(request, cursor)}>; rel="next"'}),
        },
    )


def stream_csv(name: str, kind: type[Struct], pages: AsyncIterator[Sequence[Struct]]) -> Stream:
    """The rows of many pages as one file called ``name``, each sent before the next is read."""

    async def pieces() -> AsyncIterator[bytes]:
        yield encode_rows(_table(kind, [], ()))
        async for rows in pages:
            yield encode_rows(islice(_table(kind, rows, ()), 1, None))

    return Stream(pieces(), media_type=CSV, headers=_attached(name))


def file_name(text: str) -> str:
    """A text without the characters that file systems and headers do not bear, and not too long."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text)[:_LONGEST_NAME].strip("-.") or "table"


_LONGEST_NAME: Final = 100


def _attached(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{file_name(name)}.csv"'}


def _table(
    kind: type[Struct], rows: Sequence[Struct], nested: Sequence[tuple[str, type[Struct]]]
) -> Iterator[list[Cell]]:
    plain = [field.name for field in fields(kind) if field.name not in _NEVER_PLAIN]
    inner = [(name, field.name) for name, inner in nested for field in fields(inner)]
    yield [*plain, *(f"{outer}_{name}" for outer, name in inner)]
    for row in rows:
        yield [
            *(getattr(row, name) for name in plain),
            *(getattr(getattr(row, outer), name) for outer, name in inner),
        ]


_NEVER_PLAIN: Final = {"previous"}


def _next_page(request: Request, cursor: str) -> str:
    """A reference that is relative to the request's own address, whatever stands before its path.

    RFC 3986, section 4.2: one that is a query alone keeps the path.
    """
    query = parse_qsl(request.scope["query_string"].decode(), keep_blank_values=True)
    kept = [(name, value) for name, value in query if name != "cursor"]
    return "?" + urlencode([*kept, ("cursor", cursor)])
