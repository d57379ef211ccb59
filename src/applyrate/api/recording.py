"""Recording: replies in any number, and what is known of a conversation."""

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Final

from litestar import post, put

from applyrate.answers import RecordingReceipt, Source
from applyrate.api.bodies import JSON, NDJSON, media_type, read_all, read_json, read_pieces
from applyrate.api.limits import Rate
from applyrate.api.operations import BODY_ERRORS, EVERY_KEY, OPERATION, Operation
from applyrate.api.parameters import SESSION_ID
from applyrate.api.reading import in_thread
from applyrate.api.request import Request
from applyrate.errors import ApplyrateError, InvalidInput, PayloadTooLarge
from applyrate.intake.bounds import Bounds
from applyrate.intake.journal import Journal
from applyrate.intake.json_items import has_more_items, may_have_more_items
from applyrate.intake.rejections import describe_rejection
from applyrate.intake.replies import (
    LineSplitter,
    OverlongLine,
    Rejection,
    decode_facts,
    decode_reply,
    read_reply_id,
    split_replies,
)
from applyrate.observability.metrics import Metrics
from applyrate.usage import ERASED, ConversationFacts, Reply

MAX_BATCH_REPLIES: Final = 1000
MAX_BATCH_BYTES: Final = 4 * 1024 * 1024
"""A batch that joins a commit holds no more than either."""

MAX_LISTED_REJECTIONS: Final = 1000

_MEDIA_TYPES: Final = (JSON, NDJSON)
_DECODED_IN_ONE_TURN: Final = 100


@post(
    "/replies",
    status_code=HTTPStatus.OK,
    opt={
        OPERATION: Operation(
            operation_id="recordReplies",
            tag="Recording",
            summary="Record replies",
            description=(
                "Records what each reply had available and what it applied: one JSON object, a JSON"
                " array of them, or a stream of any length with one on each line"
                " (`application/x-ndjson`), compressed with gzip or not. The answer comes once what"
                " it accepts is on disk.\n\n"
                "Send anything again, in any batch, order or split: no count changes. A reply that"
                " breaks a rule rejects itself and never its neighbours; where none is usable, the"
                " answer is 400."
            ),
            scopes=("usage:write",),
            rate=Rate.STREAMING,
            body=Reply,
            body_example={
                "reply_id": "r_81",
                "session_id": "conv_7",
                "replied_at": "2026-03-01T10:00:00.250Z",
                "available": {
                    "instruction": ["ins_tone", "ins_refund"],
                    "knowledge": ["kb_7", "kb_9"],
                    "action": ["lookup_order"],
                },
                "applied": {
                    "instruction": ["ins_refund"],
                    "knowledge": ["kb_7"],
                    "action": ["lookup_order", {"id": "lookup_order", "call_id": "call_2"}],
                },
                "ticket_number": 1234,
                "last_message": "Your refund is on its way.",
            },
            media_types=(JSON, NDJSON),
            answer=RecordingReceipt,
            answer_description="What became of the replies that were sent.",
            example={
                "accepted": 1,
                "duplicates": 0,
                "rejected": [
                    {
                        "index": 1,
                        "reply_id": "r_82",
                        "message": "replied_at: '2026-13-01' is not an ISO 8601 date-time"
                        " such as 2026-03-01T10:00:00Z",
                    }
                ],
            },
            errors=(
                HTTPStatus.BAD_REQUEST,
                *BODY_ERRORS,
                *EVERY_KEY,
            ),
        )
    },
)
async def record_replies(request: Request) -> RecordingReceipt:
    """Record the replies of the body, batch by batch, each in a commit that others may share."""
    org, journal = request.caller.org, request.services.journal
    tally = _Tally(org, journal, request.services.metrics)
    try:
        async for batch in _batches(request, tally):
            receipt = await request.services.recorder.join(org, [reply for _, reply in batch])
            tally.accepted += receipt.accepted
            tally.duplicates += receipt.duplicates
            journal.of(org).arrive(Source.REPLIES, receipt.accepted + receipt.duplicates)
            for refusal in receipt.refused:
                tally.reject(batch[refusal.index][0], refusal.reply_id, refusal.message)
    except ApplyrateError as error:
        journal.note_failure(org, Source.REPLIES, error)
        if tally.recorded:
            error.message += (
                f"; {tally.recorded} replies before that are recorded, and sending all of it again"
                " changes no count"
            )
        raise
    return tally.receipt()


@put(
    "/conversations/{session_id:str}",
    status_code=HTTPStatus.NO_CONTENT,
    opt={
        OPERATION: Operation(
            operation_id="setConversation",
            tag="Recording",
            summary="Set what is known of a conversation",
            description=(
                "Sets the named fields and leaves the others as they are; null takes a field back."
                " It may come before, between or after the conversation's replies. A conversation"
                " with `handed_off_at` counts in `handoff_count`."
            ),
            scopes=("chat-sessions:write",),
            parameters=(SESSION_ID,),
            body=ConversationFacts,
            body_example={
                "ticket_number": 1234,
                "handed_off_at": "2026-03-01T10:04:00Z",
                "status": "resolved",
                "csat": 4.5,
            },
            status=HTTPStatus.NO_CONTENT,
            answer_description="It is on disk.",
            errors=(
                HTTPStatus.BAD_REQUEST,
                *BODY_ERRORS,
                *EVERY_KEY,
            ),
        )
    },
)
async def set_conversation(request: Request) -> None:
    """Set the named facts of one conversation."""
    session_id = request.path_text("session_id")
    facts = decode_facts(await read_json(request))
    services, org = request.services, request.caller.org
    if not await services.recorder.set_conversation(org, session_id, facts):
        raise InvalidInput(f"session_id: {session_id!r} {ERASED}")


class _Tally:
    """What became of a request's replies so far; the journal is told of those rejected."""

    def __init__(self, org: str, journal: Journal, metrics: Metrics) -> None:
        self._org = org
        self._journal = journal
        self._metrics = metrics
        self.accepted = 0
        self.duplicates = 0
        self._rejected: list[Rejection] = []
        self._unlisted = 0
        self._last_index = 0

    @property
    def recorded(self) -> int:
        """How many of them are on disk."""
        return self.accepted + self.duplicates

    def reject(
        self, index: int, reply_id: str | None, message: str, reason: str | None = None
    ) -> None:
        """Note a reply that is not taken; for a ``reason`` that the writer has not counted."""
        self._journal.of(self._org).reject(
            describe_rejection(Source.REPLIES, message, index=index, reply_id=reply_id)
        )
        if reason:
            self._metrics.reject_reply(reason)
        if len(self._rejected) < MAX_LISTED_REJECTIONS:
            self._rejected.append(Rejection(index, reply_id, message))
        else:
            self._unlisted += 1
            self._last_index = index

    def receipt(self) -> RecordingReceipt:
        """The answer. Raises InvalidInput where there were replies and none was usable."""
        rejected = sorted(self._rejected, key=lambda rejection: rejection.index)
        if rejected and not self.recorded:
            count = len(rejected) + self._unlisted
            first = rejected[0]
            raise InvalidInput(
                f"none of {count} replies is usable; at index {first.index}: {first.message}"
                if count > 1
                else f"the reply is not usable: {first.message}"
            )
        if self._unlisted:
            more = f"and {self._unlisted} more replies, up to this one, are rejected"
            rejected.append(Rejection(self._last_index, None, more))
        return RecordingReceipt(self.accepted, self.duplicates, rejected)


_Batch = list[tuple[int, Reply]]


async def _batches(request: Request, tally: _Tally) -> AsyncIterator[_Batch]:
    """The usable replies of the body with their indices; the others go into the tally."""
    bounds, share = Bounds.of(request.services.settings), request.body_share
    is_array = media_type(request, _MEDIA_TYPES) == JSON  # and held as a whole already
    batch: _Batch = []
    batch_bytes = index = 0
    async for raw in raw_objects(request):
        if isinstance(raw, OverlongLine):
            request.services.metrics.hit_limit("max_line_bytes")
            tally.reject(index, None, raw.message, "overlong")
        else:
            try:
                reply = decode_reply(raw)
                bounds.check(reply)
                share.take(0 if is_array else len(raw))
                batch.append((index, reply))
                batch_bytes += len(raw)
            except InvalidInput as error:
                tally.reject(index, read_reply_id(raw), error.message, "invalid")
        index += 1
        if len(batch) >= MAX_BATCH_REPLIES or batch_bytes >= MAX_BATCH_BYTES:
            yield batch
            share.take(0 if is_array else -batch_bytes)
            batch, batch_bytes = [], 0
        elif index % _DECODED_IN_ONE_TURN == 0:
            await asyncio.sleep(0)
    if batch:
        yield batch


async def raw_objects(request: Request) -> AsyncIterator[bytes | OverlongLine]:
    """The JSON of each object in a body: one alone, an array of them, or one on each line.

    Raises UnsupportedMediaType, PayloadTooLarge, RequestTimeout, InvalidInput, Unavailable.
    """
    if media_type(request, _MEDIA_TYPES) == JSON:
        for raw in split_replies(await _read_array(request)):
            yield raw
        return
    lines = LineSplitter(request.services.settings.max_line_bytes)
    async for piece in read_pieces(request):
        held_bytes = lines.held_bytes
        for line in lines.feed(piece):
            yield line
        request.body_share.take(lines.held_bytes - held_bytes)
    for line in lines.finish():
        yield line


async def _read_array(request: Request) -> bytes:
    """A JSON body that has no more items than the settings allow, where it is an array."""
    body = await read_all(request)
    most = request.services.settings.max_array_items
    if may_have_more_items(body, most) and await in_thread(
        request, lambda: body.lstrip().startswith(b"[") and has_more_items(body, most)
    ):
        raise PayloadTooLarge(
            f"the body: an array of more than {most} items; send fewer at once, or as {NDJSON}"
        )
    return body
