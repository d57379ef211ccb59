"""How rows are made: ids that carry their organization, times, days and blocks."""

from datetime import UTC, datetime, timedelta

from applyrate.usage import ResourceType, UsageKind, utc

ORDINAL_BITS = 32
ORDINAL_MASK = (1 << ORDINAL_BITS) - 1
TYPE_BITS = 30
"""Of a resource's number: below them its place among those of its type."""

BLOCK_BITS = 16
"""Of an ordinal: those below the number of its block. A block is one container of a bitmap."""

DAY = 86_400_000_000
"""A UTC day in microseconds."""

TYPE_CODE = {
    ResourceType.ACTION: 0,
    ResourceType.INSTRUCTION: 1,
    ResourceType.KNOWLEDGE: 2,
}
AVAILABLE, APPLIED = 0, 1
KIND_CODE = {UsageKind.AVAILABLE: AVAILABLE, UsageKind.APPLIED: APPLIED}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(instant: datetime) -> int:
    """A datetime as microseconds since the epoch; one without offset is UTC."""
    return (utc(instant) - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """Microseconds since the epoch as a datetime in UTC."""
    return _EPOCH + timedelta(microseconds=micros)


def ordinal_range(org: int) -> tuple[int, int]:
    """The first and last id that a conversation or reply of an organization can have."""
    return org << ORDINAL_BITS, org << ORDINAL_BITS | ORDINAL_MASK


def resource_range(org: int, resource_type: ResourceType) -> tuple[int, int]:
    """The first and last id that a resource of an organization and type can have."""
    first = org << ORDINAL_BITS | TYPE_CODE[resource_type] << TYPE_BITS
    return first, first | (1 << TYPE_BITS) - 1
