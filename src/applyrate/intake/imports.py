"""The import of a file: lines in, replies recorded in chunks, a count of what became of them."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from msgspec import Struct

from applyrate.errors import InvalidInput
from applyrate.intake.lines import Line
from applyrate.intake.transcripts import Transcript
from applyrate.store import Store
from applyrate.usage import ConversationFacts, Recording, Reply

CHUNK_REPLIES = 1000
"""How many replies share one transaction."""


class Rejection(Struct, frozen=True):
    """Why a line, or one reply of it, was not taken. ``reply_id`` is None for a whole line."""

    line: int
    reply_id: str | None
    message: str


class Imported(Struct):
    """What became of the file so far.

    ``lines`` could be read. ``accepted`` replies brought something new, ``duplicates`` were known
    to the last usage; both are on disk. ``handed_off`` counts conversations, ``rejected`` whole
    lines and single replies.
    """

    lines: int = 0
    accepted: int = 0
    duplicates: int = 0
    handed_off: int = 0
    rejected: int = 0

    @property
    def replies(self) -> int:
        """How many replies are on disk."""
        return self.accepted + self.duplicates


def import_lines(
    store: Store,
    org: str,
    lines: Iterable[Line],
    read: Callable[[bytes], Transcript],
    reject: Callable[[Rejection], None],
) -> Iterator[Imported]:
    """Record what the lines say, chunk by chunk; yields after each what became of it all so far.

    ``read`` turns a line into replies and raises InvalidInput for a bad one, which rejects itself
    and nothing else; ``reject`` is told of each.
    """
    imported = Imported()
    for chunk in _chunks(_transcripts(lines, read, imported, reject)):
        recording = Recording(org, [reply for _, reply in chunk.replies])
        receipt = store.record([recording])[0]
        if chunk.facts:
            store.set_conversations(org, chunk.facts)
        imported.accepted += receipt.accepted
        imported.duplicates += receipt.duplicates
        imported.handed_off += len(chunk.facts)
        imported.rejected += len(receipt.refused)
        for refusal in receipt.refused:
            reject(Rejection(chunk.replies[refusal.index][0], refusal.reply_id, refusal.message))
        yield imported
    yield imported


class _Chunk(Struct):
    """What is recorded together: replies with the numbers of their lines, conversations' facts."""

    replies: Sequence[tuple[int, Reply]]
    facts: dict[str, ConversationFacts]


def _transcripts(
    lines: Iterable[Line],
    read: Callable[[bytes], Transcript],
    imported: Imported,
    reject: Callable[[Rejection], None],
) -> Iterator[tuple[int, Transcript]]:
    for line in lines:
        fault = line.fault
        if fault is None:
            try:
                transcript = read(line.raw)
            except InvalidInput as error:
                fault = error.message
            else:
                imported.lines += 1
                yield line.number, transcript
                continue
        imported.rejected += 1
        reject(Rejection(line.number, None, fault))


def _chunks(transcripts: Iterable[tuple[int, Transcript]]) -> Iterator[_Chunk]:
    replies: list[tuple[int, Reply]] = []
    facts: dict[str, ConversationFacts] = {}
    for number, transcript in transcripts:
        if transcript.facts != ConversationFacts():
            facts[transcript.session_id] = transcript.facts
        replies += [(number, reply) for reply in transcript.replies]
        while len(replies) >= CHUNK_REPLIES:
            yield _Chunk(replies[:CHUNK_REPLIES], facts)
            del replies[:CHUNK_REPLIES]
            facts = {}
    if replies or facts:
        yield _Chunk(replies, facts)
