"""Traces: spans in, replies recorded once the traces that they belong to are there."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Final, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from applyrate.answers import UnattributedList
from applyrate.errors import Unavailable
from applyrate.intake.bounds import Bounds
from applyrate.intake.conventions import Rules
from applyrate.intake.derivation import REPORTED, Derivation, derive
from applyrate.intake.erased_traces import silence
from applyrate.intake.findings import CONVERSATION
from applyrate.intake.future_spans import refuse_future
from applyrate.intake.group_commit import GroupCommit
from applyrate.intake.inbox import FILE, Inbox, KeptTrace, SpanBatch
from applyrate.intake.room import State
from applyrate.intake.shared_commits import SharedCommits
from applyrate.intake.span_readers import SpanReaders, SpansRead
from applyrate.intake.spans import ObservedSpan
from applyrate.observability.events import Event
from applyrate.observability.logs import tell
from applyrate.observability.observer import Observer
from applyrate.settings import Settings
from applyrate.store import Store
from applyrate.usage import COMMAND_LINE, AuditAction, Recording, ResourceType

if TYPE_CHECKING:
    from datetime import datetime

T = TypeVar("T")

MAX_SPANS_PER_COMMIT: Final = 10_000
MAX_SPANS_AT_ONCE: Final = 4_000
"""How many spans are held in memory to derive replies from, or one trace of more."""

POLL_SECONDS: Final = 0.5
"""How soon a quiet time's end is seen, and what another process has changed."""

_LONGEST_PAUSE_SECONDS: Final = 30


class Attribution(Struct, frozen=True):
    """What a mapped attribute brought, and how many traces are still without a conversation."""

    reply_count: int
    conversation_count: int
    remaining_trace_count: int


class Traces:
    """The inbox of a data folder, and what is derived from it. It belongs to one event loop."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        commits: GroupCommit,
        observer: Observer | None = None,
    ) -> None:
        self._settings = settings
        self._handoff_actions = frozenset(settings.handoff_actions)
        self._store = store
        self._commits = commits
        self._bounds = Bounds.of(settings)
        self._rules = Rules.of(settings)
        self._observer = observer or Observer()
        self.inbox = Inbox(settings.data_path / FILE, max_spans=settings.inbox_max_spans)
        self._rules_of_orgs: dict[str, Rules] = {}
        self._read_mappings()
        self._arrivals = SharedCommits(
            self.inbox.add,
            size_of=lambda batch: len(batch.spans),
            max_size=MAX_SPANS_PER_COMMIT,
            database="inbox",
            observer=observer,
        )
        self.readers = SpanReaders(settings.span_processes)
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="derive")

    def rules(self, org: str) -> Rules:
        """What the settings and the attributes that the organization mapped make of its spans."""
        return self._rules_of_orgs.get(org, self._rules)

    async def read(self, org: str, body: bytes, *, is_json: bool) -> SpansRead:
        """The spans of an export and what they tell, by the organization's rules.

        Raises InvalidInput, PayloadTooLarge.
        """
        read = await self.readers.read(body, self.rules(org), is_json=is_json)
        return refuse_future(read, self._bounds)

    async def accept(self, org: str, spans: Sequence[ObservedSpan]) -> None:
        """Take spans; returns once they are on disk.

        Raises Unavailable where there is no room for them; none of them is taken then.
        """
        if not self._settings.store_messages:
            spans = [silence(span) for span in spans]
        await self._arrivals.share(SpanBatch(org, spans))
        self._arrived.set()

    async def run(self) -> None:
        """Derive and record what is due, until cancelled. What fails is tried again."""
        pause = POLL_SECONDS
        while True:
            self._arrived.clear()
            try:
                derived = await self.derive_due()
                await self._in_thread(self._tidy)
            except Exception as error:  # noqa: BLE001 (whatever it is, the spans are still there)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                unexpected = None if isinstance(error, Unavailable) else error
                tell(Event.DERIVATION_FAILING, unexpected, problem=str(error))
                await asyncio.sleep(pause)
            else:
                pause = POLL_SECONDS
                if not derived:
                    await self._wait_for_arrivals()

    async def derive_due(self) -> int:
        """Derive and record some of the traces that are due; how many.

        Raises Unavailable where the store cannot take them now.
        """
        traces = await self._in_thread(
            partial(
                self.inbox.due,
                self._settings.trace_quiet_seconds,
                max_spans=MAX_SPANS_AT_ONCE,
            )
        )
        await self._derive(traces)
        return len(traces)

    async def attribute(self, org: str, attribute: str) -> Attribution:
        """Read the organization's conversations from an attribute, too, from now on.

        Its unattributed traces that have the attribute are recorded before this returns.
        """
        note = partial(self._store.note_act, org, COMMAND_LINE, AuditAction.ATTRIBUTE_MAP)
        await self._in_thread(partial(note, target=attribute))
        await self._in_thread(partial(self.inbox.map_attribute, org, attribute))
        reply_count, conversations = 0, set[str]()
        async for traces in self._unattributed(org):
            for derivation in await self._derive(traces):
                if derivation.state is State.DERIVED:
                    reply_count += len(derivation.replies)
                    conversations.update(reply.session_id for reply in derivation.replies)
        left = (await self.unattributed(org)).items
        remaining = sum(row.trace_count for row in left if CONVERSATION in row.missing)
        return Attribution(reply_count, len(conversations), remaining)

    async def unattributed(self, org: str) -> UnattributedList:
        """An organization's traces that gave no reply, and why."""
        return await self._in_thread(partial(self.inbox.findings, org))

    async def probe(self) -> None:
        """Write to the inbox as spans are written. Raises Unavailable where that fails."""
        await self._arrivals.write(self.inbox.probe)

    async def remove(self, change: Callable[[Inbox], T]) -> T:
        """Take something out of the inbox, while nothing else is written to it from here."""
        return await self._in_thread(lambda: change(self.inbox))

    async def close(self) -> None:
        """Finish what was accepted, take nothing more; what is to be derived stays on disk."""
        await self._arrivals.close()
        self.readers.close()
        self._thread.shutdown()
        self.inbox.close()

    async def _unattributed(self, org: str) -> AsyncIterator[Sequence[KeptTrace]]:
        last_key = 0
        while traces := await self._in_thread(
            partial(self.inbox.unattributed, org, last_key, max_spans=MAX_SPANS_AT_ONCE)
        ):
            yield traces
            last_key = traces[-1].key

    async def _derive(self, traces: Sequence[KeptTrace]) -> list[Derivation]:
        if not traces:
            return []
        attributes = self._settings.conversation_attributes
        derivations = await self._in_thread(
            lambda: derive(traces, self._store, attributes, self._handoff_actions, self._bounds)
        )
        by_org = groupby((one for one in derivations if one.replies), key=lambda one: one.trace.org)
        await asyncio.gather(*(self._record(org, list(group)) for org, group in by_org))
        await self._in_thread(
            lambda: self.inbox.settle([derivation.settlement() for derivation in derivations])
        )
        for derivation in derivations:
            self._observer.settled(derivation.state)
        return derivations

    async def _record(self, org: str, derivations: Sequence[Derivation]) -> None:
        """Record an organization's replies. Where that raises, each trace's by itself."""
        recording = _join(org, derivations)
        try:
            receipt = await self._commits.share(recording)
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 (whatever it is, it sets one trace aside)
            if len(derivations) > 1:
                for derivation in derivations:
                    await self._record(org, [derivation])
            else:
                tell(Event.TRACE_NOT_RECORDED, error, org=org)
                derivations[0].fail(f"its replies cannot be recorded: {error!r}")
            return
        refusals = {refusal.reply_id: refusal for refusal in receipt.refused}
        for derivation in derivations:
            for reply in derivation.replies:
                if refusal := refusals.get(reply.reply_id):
                    derivation.is_gone = derivation.is_gone or refusal.is_gone
                    derivation.fail(refusal.message)

    def _tidy(self) -> None:
        """Forget what is done with, and see what another process has mapped."""
        settings = self._settings
        self.inbox.forget(settings.trace_quiet_seconds, settings.trace_late_seconds)
        self._read_mappings()

    def _read_mappings(self) -> None:
        known = self._rules.conversation_attributes
        self._rules_of_orgs = {
            org: replace(self._rules, conversation_attributes=(*known, *mapped))
            for org, mapped in self.inbox.mapped().items()
        }

    async def _wait_for_arrivals(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):
                await self._arrived.wait()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _join(org: str, derivations: Sequence[Derivation]) -> Recording:
    """All that an organization's traces tell, to be recorded together."""
    names: dict[str, str] = {}
    handed_off: dict[str, datetime] = {}
    for derivation in derivations:
        names |= derivation.names
        for session_id, at in derivation.handed_off.items():
            handed_off[session_id] = min(at, handed_off.get(session_id, at))
    return Recording(
        org,
        [reply for derivation in derivations for reply in derivation.replies],
        names={ResourceType.INSTRUCTION: names},
        reports=REPORTED,
        handed_off=handed_off,
    )
