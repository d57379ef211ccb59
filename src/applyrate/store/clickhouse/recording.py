"""Recording: replies in, rows out.

There is no transaction over several tables and nodes, and none is needed: what is written is sets
of rows, in an order in which whatever is there is right. First replies are claimed, then usages
come, then what they say of conversations. Whoever is cut off in the middle has told nobody that it
was recorded; sent again, it adds what is missing.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec import Struct

from applyrate.store.clickhouse.claims import Claim, claim_replies, find_claims
from applyrate.store.clickhouse.cluster import Operation
from applyrate.store.clickhouse.directory import Directory
from applyrate.store.clickhouse.facts import Said, Source, Statement, became_known, say
from applyrate.store.clickhouse.names import give_names
from applyrate.store.clickhouse.removing import find_conversations, remove_conversations
from applyrate.store.clickhouse.retention import oldest_kept
from applyrate.store.clickhouse.rows import Numbers, show_micros, to_micros
from applyrate.store.clickhouse.tombstones import find_erased
from applyrate.store.clickhouse.usage_rows import UsageRow, add_usages, find_usages, usages_of
from applyrate.usage import ERASED, Keeping, Receipt, Recording, Refusal, Reply


def record(
    db: Operation,
    numbers: Numbers,
    directory: Directory,
    recordings: Sequence[Recording],
    keeping: Keeping,
) -> list[Receipt]:
    """Record replies; what contradicts an earlier record is refused.

    So is what was erased, and what is older than its organization keeps. What several recordings
    have for one organization is written together.
    """
    places = defaultdict[str, list[int]](list)
    for place, recording in enumerate(recordings):
        places[recording.org].append(place)
    receipts = dict[int, Receipt]()
    for org, those in places.items():
        directory.note_organization(db, org)
        batch = _Batch(db, numbers, org, [recordings[place] for place in those], keeping)
        receipts.update(zip(those, batch.record(directory), strict=True))
    return [receipts[place] for place in range(len(recordings))]


class _Sent(Struct):
    """A reply on its way, the number of its recording and its place there."""

    number: int
    place: int
    reply: Reply
    claim: Claim
    usages: frozenset[UsageRow] = frozenset()
    refusal: Refusal | None = None
    is_new: bool = False

    @property
    def is_gone(self) -> bool:
        """Whether it was removed, or would be at once."""
        return self.refusal is not None and self.refusal.is_gone

    def refuse(self, message: str, *, is_gone: bool = False) -> None:
        """Refuse it."""
        self.refusal = Refusal(self.place, self.reply.reply_id, message, is_gone=is_gone)


class _Batch:
    """Recordings of one organization that are written together."""

    def __init__(
        self,
        db: Operation,
        numbers: Numbers,
        org: str,
        recordings: Sequence[Recording],
        keeping: Keeping,
    ) -> None:
        self._db = db
        self._numbers = numbers
        self._org = org
        self._recordings = recordings
        self._keeping = keeping
        self._lots = [
            [
                _Sent(number, place, reply, Claim(reply.session_id, to_micros(reply.replied_at)))
                for place, reply in enumerate(recording.replies)
            ]
            for number, recording in enumerate(recordings)
        ]
        self._sent = [sent for lot in self._lots for sent in lot]

    def record(self, directory: Directory) -> list[Receipt]:
        """Write what can be taken; a receipt for each recording."""
        self._settle_claims()
        taken = [sent for sent in self._sent if sent.refusal is None]
        self._write_usages(taken)
        statements = [*self._said(taken), *self._handed_off()]
        say(self._db, self._numbers, self._org, statements)
        self._refuse_erased_meanwhile(taken, statements)
        taken = [sent for sent in taken if sent.refusal is None]
        with_replies = {sent.number for sent in taken}
        used = {usage.resource for sent in taken for usage in sent.usages}
        for number, recording in enumerate(self._recordings):
            if number in with_replies:
                directory.note_reportable(self._db, self._org, recording.reports)
                give_names(self._db, self._org, recording.names, used)
        return [_receipt(lot) for lot in self._lots]

    def _settle_claims(self) -> None:
        """Find which replies are known, claim those that are new, and refuse what cannot be."""
        reply_ids = list(dict.fromkeys(sent.reply.reply_id for sent in self._sent))
        known = find_claims(self._db, self._numbers, self._org, reply_ids)
        erased = self._find_erased(
            sent.claim.session_id for sent in self._sent if sent.reply.reply_id not in known
        )
        oldest = oldest_kept(self._db, self._org, self._keeping)
        claims = dict[str, Claim]()
        for sent in self._sent:
            if sent.reply.reply_id in known or sent.reply.reply_id in claims:
                continue
            if sent.claim.replied_at < oldest:
                sent.refuse(
                    f"replied_at: {show_micros(sent.claim.replied_at)} is older than this"
                    f" organization keeps; what it keeps begins at {show_micros(oldest)}",
                    is_gone=True,
                )
            elif sent.claim.session_id in erased:
                sent.refuse(f"session_id: {sent.claim.session_id!r} {ERASED}", is_gone=True)
            else:
                claims[sent.reply.reply_id] = sent.claim
                sent.is_new = True
        known |= claim_replies(self._db, self._numbers, self._org, claims)
        for sent in self._sent:
            if sent.refusal is not None:
                continue
            claim = known[sent.reply.reply_id]
            if claim.agrees(sent.claim):
                sent.claim = claim
            else:
                sent.refuse(
                    f"reply_id: {sent.reply.reply_id!r} is already recorded in conversation"
                    f" {claim.session_id!r} at {show_micros(claim.replied_at)};"
                    " its first record fixes a reply's conversation and time"
                )

    def _write_usages(self, taken: Sequence[_Sent]) -> None:
        """Write the replies and those of their usages that are not there yet."""
        for sent in taken:
            sent.usages = usages_of(self._numbers, sent.reply, sent.claim)
        claimed_now = {sent.reply.reply_id for sent in taken if sent.is_new}
        asked = [sent for sent in taken if sent.reply.reply_id not in claimed_now]
        there = find_usages(self._db, self._org, {usage for sent in asked for usage in sent.usages})
        self._db.insert(
            "reply_all",
            "org replied_at reply_id reply conversation session_id claimed_at",
            {
                sent.reply.reply_id: (
                    self._org,
                    sent.claim.replied_at,
                    sent.reply.reply_id,
                    self._numbers.reply(sent.reply.reply_id),
                    self._numbers.conversation(sent.claim.session_id),
                    sent.claim.session_id,
                    sent.claim.claimed_at,
                )
                for sent in taken
            }.values(),
        )
        new = list[UsageRow]()
        for sent in taken:
            added = sent.usages - there
            sent.is_new = sent.is_new or bool(added)
            there |= added
            new += added
        add_usages(self._db, self._org, new)

    def _said(self, taken: Iterable[_Sent]) -> Iterable[Statement]:
        for sent in taken:
            session_id, at = sent.claim.session_id, sent.claim.replied_at
            for name in ("ticket_number", "last_message"):
                value = getattr(sent.reply, name)
                if value is not None and (name != "last_message" or self._keeping.messages):
                    yield Statement(session_id, name, Source.REPLY, Said.of(at, value))

    def _handed_off(self) -> Iterable[Statement]:
        """The handoffs that came along, but of conversations whose replies are gone."""
        named = dict[str, datetime]()
        for recording, lot in zip(self._recordings, self._lots, strict=True):
            there = {sent.claim.session_id for sent in lot if not sent.is_gone}
            gone = {sent.claim.session_id for sent in lot if sent.is_gone} - there
            for session_id, at in recording.handed_off.items():
                if session_id not in gone:
                    named[session_id] = min(at, named.get(session_id, at))
        for session_id in self._find_erased(named):
            del named[session_id]
        for session_id, at in named.items():
            micros = to_micros(at)
            said = Said.of(-micros, micros)
            yield Statement(session_id, "handed_off_at", Source.REPLY, said)
            yield became_known(session_id)

    def _refuse_erased_meanwhile(
        self, taken: Iterable[_Sent], statements: Iterable[Statement]
    ) -> None:
        """Whoever erases sets a tombstone and then removes: one of us sees what the other wrote."""
        written = {sent.claim.session_id for sent in taken}
        erased = self._find_erased(written | {one.session_id for one in statements})
        if not erased:
            return
        found = find_conversations(self._db, self._numbers, self._org, sorted(erased))
        remove_conversations(self._db, self._numbers, self._org, found)
        for sent in taken:
            if sent.claim.session_id in erased:
                sent.refuse(f"session_id: {sent.claim.session_id!r} {ERASED}", is_gone=True)

    def _find_erased(self, session_ids: Iterable[str]) -> set[str]:
        return find_erased(self._db, self._numbers, self._org, session_ids)


def _receipt(lot: Sequence[_Sent]) -> Receipt:
    taken = [sent for sent in lot if sent.refusal is None]
    accepted = sum(sent.is_new for sent in taken)
    refused = [sent.refusal for sent in lot if sent.refusal is not None]
    return Receipt(accepted, len(taken) - accepted, refused)
