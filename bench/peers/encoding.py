"""Dictionary encoding: usages as rows of small integers, which every peer stores."""

from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from applyrate.usage import Invocation, Reply, ResourceType, UsageKind
from bench.generator import Workload

AVAILABLE, APPLIED = 0, 1
KINDS = {UsageKind.AVAILABLE: AVAILABLE, UsageKind.APPLIED: APPLIED}

Usage = tuple[int, int, int]
"""Resource, kind, call: the place among the reply's invocations of the action, 0 otherwise."""

Number = Callable[[ResourceType, str], int]
"""The integer that stands for a resource."""

Column = NDArray[np.int64]

_CHUNK = 50_000


def usages_of(reply: Reply, number: Number) -> set[Usage]:
    """The usages of a reply; what was applied to it was available too, except for actions."""
    usages = set[Usage]()
    for resource_type in ResourceType:
        for resource_id in getattr(reply.available, resource_type):
            usages.add((number(resource_type, resource_id), AVAILABLE, 0))
        calls = Counter[int]()
        for applied in getattr(reply.applied, resource_type):
            resource_id = applied.id if isinstance(applied, Invocation) else applied
            resource = number(resource_type, resource_id)
            usages.add((resource, APPLIED, calls[resource]))
            if resource_type is ResourceType.ACTION:
                calls[resource] += 1
            else:
                usages.add((resource, AVAILABLE, 0))
    return usages


class Numbers:
    """The numbers of one organization's resources, remembered: they are few.

    ``find`` looks one up that is not known yet, or gives it the next number.
    """

    def __init__(self, find: Number) -> None:
        self._find = find
        self._known: dict[tuple[ResourceType, str], int] = {}

    def __call__(self, resource_type: ResourceType, resource_id: str) -> int:
        """The number of a resource."""
        known = self._known.get((resource_type, resource_id))
        if known is None:
            known = self._known[resource_type, resource_id] = self._find(resource_type, resource_id)
        return known


def resources_of(workload: Workload) -> Iterator[tuple[int, ResourceType, str]]:
    """The number, type and id of each of a workload's resources, as the columns number them."""
    number = 0
    for catalogue, ids in zip(workload.catalogues, workload.resource_ids, strict=True):
        for resource_id in ids:
            number += 1
            yield number, catalogue.resource_type, resource_id


def columns_of(workload: Workload, stop: int) -> Iterator[dict[str, Column]]:
    """The usages of the replies before ``stop``, as columns, some replies at a time.

    A reply and its conversation are their places plus one.
    """
    pools = list(_flat_pools(workload))
    for first in range(0, stop, _CHUNK):
        last = min(first + _CHUNK, stop)
        parts: list[list[Column]] = [[], [], [], []]
        for (starts, lengths, usages), picks in zip(pools, workload.picks, strict=True):
            picked = np.asarray(picks[first:last], dtype=np.int64)
            counts = lengths[picked]
            within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
            flat = usages[np.repeat(starts[picked], counts) + within]
            for part, column in zip(
                parts, (*flat.T, np.repeat(np.arange(first, last), counts)), strict=True
            ):
                part.append(column)
        resource, kind, call, place = map(np.concatenate, parts)
        yield {
            "resource": resource,
            "kind": kind,
            "replied_at": np.asarray(workload.replied_at[first:last], dtype=np.int64)[
                place - first
            ],
            "reply": place + 1,
            "call": call,
            "conversation": np.asarray(workload.conversations[first:last], dtype=np.int64)[
                place - first
            ]
            + 1,
        }


def _flat_pools(workload: Workload) -> Iterator[tuple[Column, Column, Column]]:
    """Each type's pool of usages end to end, with where each entry starts and how long it is."""
    before = 1
    for catalogue, pool in zip(workload.catalogues, workload.pools, strict=True):
        rows: list[Usage] = []
        lengths = []
        for usages in pool:
            of_entry = [(before + place, AVAILABLE, 0) for place in usages.available]
            of_entry += [
                (before + place, APPLIED, usages.applied[:order].count(place))
                for order, place in enumerate(usages.applied)
            ]
            rows += of_entry
            lengths.append(len(of_entry))
        counts = np.array(lengths, dtype=np.int64)
        yield np.cumsum(counts) - counts, counts, np.array(rows, dtype=np.int64).reshape(-1, 3)
        before += catalogue.size
