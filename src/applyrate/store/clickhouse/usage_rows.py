"""Usages as rows: those of a reply, which of them are there, and how more are added."""

from collections.abc import Collection, Iterator
from itertools import islice
from typing import NamedTuple

from applyrate.store.clickhouse.changes import note_changes
from applyrate.store.clickhouse.claims import PART, Claim
from applyrate.store.clickhouse.cluster import Operation
from applyrate.store.clickhouse.rows import Numbers, call_number
from applyrate.usage import Reply, ResourceType, UsageKind

Resource = tuple[str, str]
"""The type and the id of a resource."""


class UsageRow(NamedTuple):
    """A usage of an organization."""

    resource_type: str
    resource_id: str
    kind: str
    replied_at: int
    reply: int
    call: int
    conversation: int

    @property
    def resource(self) -> Resource:
        """What was used."""
        return self.resource_type, self.resource_id


def usages_of(numbers: Numbers, reply: Reply, claim: Claim) -> frozenset[UsageRow]:
    """The usages of a reply; to cite an instruction or an item, it was available."""
    which = numbers.reply(reply.reply_id)
    conversation = numbers.conversation(claim.session_id)
    return frozenset(
        UsageRow(of, resource_id, kind, claim.replied_at, which, call, conversation)
        for of, resource_id, kind, call in _used(reply)
    )


def find_usages(db: Operation, org: str, usages: Collection[UsageRow]) -> set[UsageRow]:
    """Those of the usages that are there."""
    found, left = set[UsageRow](), iter(usages)
    while part := list(islice(left, PART)):
        values = {"org": org, "usages": [tuple(usage) for usage in part]}
        found |= {UsageRow(*row) for row in db.rows(_FIND, values)}
    return found


def add_usages(db: Operation, org: str, usages: Collection[UsageRow]) -> None:
    """Add usages, and note which resources changed once they are there."""
    db.insert(
        "usage_all",
        "org resource_type resource_id kind replied_at reply call conversation",
        ((org, *usage) for usage in usages),
    )
    note_changes(db, org, {usage.resource for usage in usages})


def _used(reply: Reply) -> Iterator[tuple[str, str, str, int]]:
    had, cited = reply.available, reply.applied
    for of in (ResourceType.INSTRUCTION, ResourceType.KNOWLEDGE, ResourceType.ACTION):
        for resource_id in getattr(had, of):
            yield of.value, resource_id, UsageKind.AVAILABLE.value, 0
    for of in (ResourceType.INSTRUCTION, ResourceType.KNOWLEDGE):
        for resource_id in getattr(cited, of):
            for kind in UsageKind:
                yield of.value, resource_id, kind.value, 0
    places = dict[str, int]()
    for invocation in cited.action:
        if isinstance(invocation, str):
            action, call = invocation, call_number(places.get(invocation, 0))
            places[action] = call + 1
        else:
            action, call = invocation.id, call_number(invocation.call_id)
            places[action] = places.get(action, 0) + 1
        yield ResourceType.ACTION.value, action, UsageKind.APPLIED.value, call


_FIND = """
SELECT DISTINCT resource_type, resource_id, kind, replied_at, reply, call, conversation
FROM usage_all
WHERE org = {org:String}
  AND (resource_type, resource_id, kind, replied_at, reply, call, conversation) IN
    {usages:Array(Tuple(String, String, String, Int64, UInt64, UInt64, UInt64))}
"""
