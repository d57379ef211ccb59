"""The catalogue: what is known of resources beside their usages."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from http import HTTPStatus
from typing import Final

from litestar import put

from applyrate.answers import CatalogueReceipt, RejectedEntry
from applyrate.api.bodies import JSON, NDJSON
from applyrate.api.operations import BODY_ERRORS, EVERY_KEY, OPERATION, Operation
from applyrate.api.recording import raw_objects
from applyrate.api.request import Request
from applyrate.errors import InvalidInput, PayloadTooLarge
from applyrate.intake.catalogue import decode_entry, read_entry_id
from applyrate.intake.replies import OverlongLine
from applyrate.usage import CatalogueEntry, ResourceType

MAX_ENTRIES: Final = 10_000
"""A request sets no more."""

WRITE_SCOPES: Final = {
    ResourceType.ACTION: "actions:write",
    ResourceType.INSTRUCTION: "training:write",
    ResourceType.KNOWLEDGE: "training:write",
}

_DECODED_IN_ONE_TURN: Final = 100


@put(
    "/resources",
    opt={
        OPERATION: Operation(
            operation_id="setResources",
            tag="Recording",
            summary="Set what is known of resources",
            description=(
                "The catalogue: one JSON object, a JSON array of them, or one on each line"
                f" (`application/x-ndjson`); {MAX_ENTRIES:,} at most. Sets the named fields and"
                " leaves the others as they are; null takes a field back. Nobody needs to have used"
                " the resource: one that is catalogued and was never seen is listed with zeros. An"
                " entry that breaks a rule rejects itself and never its neighbours; where none is"
                " usable, the answer is 400."
                "\n\n`keep` marks a safety net, which may stay unused. `version` with"
                " `published_at` is also noted among the versions that were published."
                "\n\nNeeds the scope `training:write` for instructions and knowledge,"
                " `actions:write` for actions. Where the key lacks one of those that the entries"
                " need, nothing of them is set."
            ),
            body=CatalogueEntry,
            body_example={
                "type": "instruction",
                "id": "ins_refund",
                "name": "Refunds",
                "version": "2026-03",
                "url": "https://wiki.example.com/agent/refunds",
                "published_at": "2026-03-01T09:00:00Z",
                "keep": False,
            },
            media_types=(JSON, NDJSON),
            answer=CatalogueReceipt,
            answer_description="What became of the entries that were sent.",
            example={
                "accepted": 1,
                "rejected": [
                    {
                        "index": 1,
                        "id": "kb_9",
                        "message": "url: 'wiki' is no http or https address",
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
async def set_resources(request: Request) -> CatalogueReceipt:
    """Set the usable entries of the body in one transaction, if the caller may set all of them."""
    entries, rejected = await _read_entries(request)
    request.caller.require(_scopes_of(entries))
    if rejected and not entries:
        raise _nothing_usable(rejected)
    if entries:
        services, org = request.services, request.caller.org
        await services.commits.write(
            lambda: services.store.set_catalogue(org, entries, request.caller.actor)
        )
    return CatalogueReceipt(len(entries), rejected)


async def _read_entries(request: Request) -> tuple[list[CatalogueEntry], list[RejectedEntry]]:
    entries: list[CatalogueEntry] = []
    rejected: list[RejectedEntry] = []
    async for index, raw in _numbered(raw_objects(request)):
        if index == MAX_ENTRIES:
            raise PayloadTooLarge(
                f"the body: more than {MAX_ENTRIES:,} entries; send the others in requests of"
                " their own"
            )
        if isinstance(raw, OverlongLine):
            request.services.metrics.hit_limit("max_line_bytes")
            rejected.append(
                RejectedEntry(index, None, f"the line is longer than {raw.max_bytes} bytes")
            )
            continue
        try:
            entries.append(decode_entry(raw))
        except InvalidInput as error:
            rejected.append(RejectedEntry(index, read_entry_id(raw), error.message))
        if index % _DECODED_IN_ONE_TURN == 0:
            await asyncio.sleep(0)
    return entries, rejected


async def _numbered(
    raws: AsyncIterator[bytes | OverlongLine],
) -> AsyncIterator[tuple[int, bytes | OverlongLine]]:
    index = 0
    async for raw in raws:
        yield index, raw
        index += 1


def _scopes_of(entries: Collection[CatalogueEntry]) -> list[str]:
    return sorted({WRITE_SCOPES[entry.type] for entry in entries})


def _nothing_usable(rejected: Sequence[RejectedEntry]) -> InvalidInput:
    first = rejected[0]
    if len(rejected) == 1:
        return InvalidInput(f"the entry is not usable: {first.message}")
    return InvalidInput(
        f"none of {len(rejected):,} entries is usable; at index {first.index}: {first.message}"
    )
