"""Exporting: every usage in a window as one long answer, written while it is read."""

from collections.abc import AsyncIterator, Iterator
from http import HTTPStatus
from itertools import islice
from typing import Final

from litestar import get
from litestar.datastructures.headers import Accept
from litestar.response import Stream

from applyrate.api.bodies import CSV, NDJSON, PARQUET
from applyrate.api.operations import EVERY_KEY, OPERATION, READ_SCOPES, Operation
from applyrate.api.parameters import EXPORT_FORMAT, FROM, TO
from applyrate.api.reading import in_thread, read_choice, read_window
from applyrate.api.request import Request
from applyrate.export_formats import Encoder, ExportFormat, new_encoder
from applyrate.usage import AuditAction, UsageRow

ROWS_IN_PIECE: Final = 2_000
"""So many rows are read, written and sent at a time."""

_MEDIA_TYPES: Final = {
    ExportFormat.NDJSON: NDJSON,
    ExportFormat.CSV: CSV,
    ExportFormat.PARQUET: PARQUET,
}
_FORMATS: Final = {media_type: form for form, media_type in _MEDIA_TYPES.items()}
_SCOPES: Final = tuple(sorted({scope for scopes in READ_SCOPES.values() for scope in scopes}))


@get(
    "/export/usages",
    opt={
        OPERATION: Operation(
            operation_id="exportUsages",
            tag="Resource usage",
            summary="Export every usage",
            description=(
                "Every usage in the window, of all types, by the time of its reply: a row for each"
                " reply, resource and kind of usage. `count` is the number of invocations of an"
                " action, and 1 for anything else. The answer is written while it is read, in any"
                " length; one that breaks off before its end is not whole."
                "\n\nThe format is that of `format`, or else of `Accept`. Parquet needs the service"
                " to be installed with `applyrate[parquet]`."
            ),
            scopes=_SCOPES,
            parameters=(EXPORT_FORMAT, FROM, TO),
            answer_types=(NDJSON, CSV, PARQUET),
            answer_description="The usages, a row for each.",
            example={
                "replied_at": "2026-03-01T10:00:00.250000Z",
                "reply_id": "r_81",
                "session_id": "conv_7",
                "resource_type": "action",
                "resource_id": "lookup_order",
                "usage": "applied",
                "count": 2,
            },
            errors=(HTTPStatus.BAD_REQUEST, *EVERY_KEY),
        )
    },
)
async def export_usages(request: Request) -> Stream:
    """Answer piece by piece, each read in a thread when the one before is sent."""
    query = request.query_texts("from", "to", "format")
    window = read_window(query)
    form = _format(request, query.get("format"))
    encoder = new_encoder(form)
    services, caller = request.services, request.caller
    told = f"{form}, from {query.get('from', 'the first')} to {query.get('to', 'the last')}"
    await services.commits.write(
        lambda: services.store.note_act(
            caller.org, caller.actor, AuditAction.USAGES_EXPORT, detail=told
        )
    )
    usages = services.store.usages(caller.org, window)
    # The first one before the answer begins: what goes wrong at once is an error like any other.
    first = await in_thread(request, lambda: _next_piece(usages, encoder))

    async def pieces() -> AsyncIterator[bytes]:
        piece = first
        while piece is not None:
            if piece:
                yield piece
            piece = await in_thread(request, lambda: _next_piece(usages, encoder))
        yield await in_thread(request, encoder.finish)

    return Stream(
        pieces(),
        media_type=_MEDIA_TYPES[form],
        headers={"Content-Disposition": f'attachment; filename="usages.{form}"'},
    )


def _next_piece(usages: Iterator[UsageRow], encoder: Encoder) -> bytes | None:
    """What the next rows come to, perhaps nothing yet; None after the last."""
    rows = list(islice(usages, ROWS_IN_PIECE))
    return encoder.encode(rows) if rows else None


def _format(request: Request, text: str | None) -> ExportFormat:
    if text is not None:
        return read_choice(ExportFormat, "format", text)
    accepted = Accept(request.headers.get("accept", "*/*"))
    return _FORMATS[accepted.best_match(list(_FORMATS), default=NDJSON) or NDJSON]
