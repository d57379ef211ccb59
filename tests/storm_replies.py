"""What the storm of kills sends: all that is recorded of it follows from its name."""

import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from applyrate.intake.replies import decode_reply
from applyrate.usage import Reply, ResourceType, UsageKind

if TYPE_CHECKING:
    from collections.abc import Sequence

ORG = "acme"
AGING = "aging"
"""An organization whose older replies are removed."""

AT = datetime(2026, 3, 1, 10, tzinfo=UTC)

Used: TypeAlias = tuple[ResourceType, str, UsageKind]

chance = random.Random()  # noqa: S311 (no secret)


def reply(name: str, at: datetime = AT) -> dict[str, Any]:
    """A reply of that name."""
    return {
        "reply_id": name,
        "session_id": f"s{_number(name) % 50}",
        "replied_at": at.isoformat(),
        "available": {"instruction": ["ins", f"ins{_number(name) % 9}"]},
        "applied": {"action": ["look"], "knowledge": [f"kb{_number(name) % 97}"]},
    }


def decoded(name: str) -> Reply:
    """The same as the service reads it."""
    return decode_reply(msgspec.json.encode(reply(name)))


def expected(name: str) -> set[Used]:
    """The usages that the reply of that name is recorded with."""
    knowledge = f"kb{_number(name) % 97}"
    return {
        (ResourceType.INSTRUCTION, "ins", UsageKind.AVAILABLE),
        (ResourceType.INSTRUCTION, f"ins{_number(name) % 9}", UsageKind.AVAILABLE),
        (ResourceType.KNOWLEDGE, knowledge, UsageKind.AVAILABLE),
        (ResourceType.KNOWLEDGE, knowledge, UsageKind.APPLIED),
        (ResourceType.ACTION, "look", UsageKind.APPLIED),
    }


def replies_of(session_id: str) -> list[str]:
    """The ids of the replies of a conversation that is to be erased."""
    return [f"{session_id}-{place}" for place in range(3)]


def old_replies(count: int) -> dict[str, datetime]:
    """New names of replies that an organization keeps no more, with their times, oldest first."""
    kind = f"a{chance.getrandbits(32)}"
    return {
        f"{kind}-{place}": AT - timedelta(days=900) + timedelta(hours=place)
        for place in range(count)
    }


def is_of_trace(reply_id: str) -> bool:
    """Whether a reply was made of a trace."""
    return reply_id[0] not in "oirx"  # no hexadecimal digits, as a trace id has


class SentTrace:
    """A trace of two invocations, in two halves: the root comes with the second."""

    def __init__(self) -> None:
        self.trace_id = f"{chance.getrandbits(128):032x}"
        root, first, second = (f"{chance.getrandbits(64) or 1:016x}" for _ in range(3))
        self.halves: Sequence[Sequence[dict[str, Any]]] = [
            [self._span(first, root)],
            [self._span(second, root), self._span(root, None)],
        ]

    def _span(self, span_id: str, parent_id: str | None) -> dict[str, Any]:
        """The execution of an action, or the agent that called it."""
        told = {
            "gen_ai.conversation.id": f"t{self.trace_id[:4]}",
            "gen_ai.operation.name": "invoke_agent",
        }
        if parent_id:
            told |= {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "look"}
        return {
            "traceId": self.trace_id,
            "spanId": span_id,
            **({"parentSpanId": parent_id} if parent_id else {}),
            "name": told["gen_ai.operation.name"],
            "startTimeUnixNano": "1772359200000000000",
            "endTimeUnixNano": "1772359201000000000",
            "attributes": [
                {"key": key, "value": {"stringValue": text}} for key, text in told.items()
            ],
        }


def _number(name: str) -> int:
    return sum(name.encode())
