"""The import of a file: what lines say in, recorded in chunks, a count of what became of it out."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import TypeAlias

from msgspec import Struct

from applyrate.intake.reading_lines import ReadLine
from applyrate.intake.transcripts import Transcript
from applyrate.store import Store
from applyrate.usage import Recording, ResourceType

CHUNK_REPLIES = 4_000
"""How many replies share one transaction; those of one line are never parted.

A row is written once in a commit, so many replies together cost less than the same one by one.
"""


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
    lines: Iterable[ReadLine],
    reject: Callable[[Rejection], None],
) -> Iterator[Imported]:
    """Record what the lines say, chunk by chunk; yields after each what became of it all so far.

    A bad line rejects itself and nothing else; ``reject`` is told of each.
    """
    imported = Imported()
    for chunk in _chunks(_transcripts(lines, imported, reject)):
        recording = _recording(org, [transcript for _, transcript in chunk])
        receipt = store.record([recording])[0]
        imported.accepted += receipt.accepted
        imported.duplicates += receipt.duplicates
        imported.handed_off += len(recording.handed_off)
        imported.rejected += len(receipt.refused)
        line_of = [number for number, transcript in chunk for _ in transcript.replies]
        for refusal in receipt.refused:
            reject(Rejection(line_of[refusal.index], refusal.reply_id, refusal.message))
        yield imported
    yield imported


_Chunk: TypeAlias = list[tuple[int, Transcript]]
"""What is recorded together, with the numbers of the lines."""


def _transcripts(
    lines: Iterable[ReadLine], imported: Imported, reject: Callable[[Rejection], None]
) -> Iterator[tuple[int, Transcript]]:
    for line in lines:
        if line.transcript is not None:
            imported.lines += 1
            yield line.number, line.transcript
        else:
            imported.rejected += 1
            reject(Rejection(line.number, None, line.fault or ""))


def _chunks(transcripts: Iterable[tuple[int, Transcript]]) -> Iterator[_Chunk]:
    """The transcripts that have replies, so many together that these fill a transaction."""
    chunk: _Chunk = []
    reply_count = 0
    for number, transcript in transcripts:
        if transcript.replies:
            chunk.append((number, transcript))
            reply_count += len(transcript.replies)
        if reply_count >= CHUNK_REPLIES:
            yield chunk
            chunk, reply_count = [], 0
    if chunk:
        yield chunk


def _recording(org: str, transcripts: Sequence[Transcript]) -> Recording:
    names, handed_off = dict[str, str](), dict[str, datetime]()
    for transcript in transcripts:
        names |= transcript.instruction_names
        session_id, at = transcript.session_id, transcript.handed_off_at
        if at is not None:
            handed_off[session_id] = min(handed_off.get(session_id, at), at)
    return Recording(
        org,
        [reply for transcript in transcripts for reply in transcript.replies],
        names={ResourceType.INSTRUCTION: names},
        reports=frozenset().union(*(transcript.reports for transcript in transcripts)),
        handed_off=handed_off,
    )
