"""What must hold of a data folder after a kill, whatever was going on."""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from applyrate.backups import check_files
from applyrate.intake.inbox import FILE as INBOX
from applyrate.store import Store, open_store
from applyrate.usage import ResourceType, Window
from tests.storm_clients import Acknowledged, Fate
from tests.storm_replies import ORG, Used, expected, is_of_trace, replies_of


def check_folder(data: Path, known: Acknowledged) -> "Counter[str]":
    """All that was acknowledged is there, nothing by half or erased by half, nothing is wrong.

    Returns how much of what was looked for. Raises AssertionError.
    """
    faults = list(check_files(data))
    assert faults == []
    with closing(open_store(data)) as store:
        found = _check_replies(store, known)
        _check_inbox(data / INBOX, known, store)
        _check_erased(store, known.fates)
        for session_id, status in known.facts.items():
            conversation = store.conversation(ORG, session_id)
            assert conversation is not None, session_id
            assert conversation.status == status
    return Counter(
        {
            "acknowledged replies looked for": len(known.replies),
            "acknowledged spans looked for": len(known.spans),
            "acknowledged facts looked for": len(known.facts),
            "acknowledged erasures looked for": sum(
                fate is Fate.ERASED for fate in known.fates.values()
            ),
            "replies found whole": len(found),
        }
    )


def check_whole(found: Mapping[str, set[Used]]) -> None:
    """No reply has a part of its usages."""
    for reply_id, used in found.items():
        if not is_of_trace(reply_id):
            assert used == expected(reply_id), f"{reply_id} is there by half: {used}"


def read_usages(store: Store, org: str) -> dict[str, set[Used]]:
    """The usages of every reply of an organization."""
    found: defaultdict[str, set[Used]] = defaultdict(set)
    for usage in store.usages(org, Window()):
        found[usage.reply_id].add((usage.resource_type, usage.resource_id, usage.usage))
    return found


def check_derived(data: Path, known: Acknowledged) -> int:
    """Every trace of which a span was acknowledged is a reply, with all of its invocations.

    Nothing may be left to derive. Returns how many there are. Raises AssertionError.
    """
    with closing(open_store(data)) as store:
        counts = {
            usage.reply_id: usage.count
            for usage in store.usages(ORG, Window())
            if usage.resource_id == "look"
        }
    for trace_id, acknowledged in known.invocations.items():
        # One whose answer the kill took may be there, too.
        assert acknowledged <= counts.get(trace_id, 0) <= 2, f"trace {trace_id} is not whole"
    return len(known.invocations)


def _check_replies(store: Store, known: Acknowledged) -> dict[str, set[Used]]:
    found = read_usages(store, ORG)
    lost = known.replies - found.keys()
    assert not lost, f"{len(lost)} replies are lost, {min(lost)} first"
    check_whole(found)
    counted = store.summary(ORG, ResourceType.INSTRUCTION, "ins", Window()).available_replies
    assert counted == sum(not is_of_trace(one) for one in found)
    return found


def _check_erased(store: Store, fates: Mapping[str, Fate]) -> None:
    for session_id, fate in fates.items():
        conversation = store.conversation(ORG, session_id)
        assert fate is not Fate.RECORDED or conversation, f"{session_id} is lost"
        assert fate is not Fate.ERASED or not conversation, f"{session_id} is there again"
        if conversation:
            replies = sorted(one.reply_id for one in conversation.replies)
            assert replies == replies_of(session_id), f"{session_id} is there by half"


def _check_inbox(file: Path, known: Acknowledged, store: Store) -> None:
    if not file.exists():
        assert not known.spans
        return
    with closing(sqlite3.connect(file)) as db:
        kept = {name for (name,) in db.execute("SELECT span_id FROM span")}
        derived = {name for (name,) in db.execute(_DERIVED)}
    assert known.spans <= kept, f"{len(known.spans - kept)} spans are lost"
    lost = derived - store.replies(ORG, sorted(derived)).keys()
    assert not lost, f"{len(lost)} traces are done with, and not recorded"


_DERIVED = "SELECT trace_id FROM trace WHERE state = 'derived'"
