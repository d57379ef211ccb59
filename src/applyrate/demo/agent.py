"""The simulated support agent of a furniture shop: what it is always told, and what it can do.

Most of it earns its keep, and some does not, as in every agent that was edited for a year: rules
that never apply, articles that nobody cites, an action that was replaced, one that hardly helps.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

ALWAYS: Final = float("inf")


class Instruction(Struct, frozen=True):
    """A rule in the agent's context; ``applied`` is the share of those replies that apply it.

    Ages are in days before the end of the simulation: in the context from ``since_age`` until
    ``until_age``, and not applied any more from ``dead_age`` on. At ``rewritten_age`` a new version
    was published; before, the share was ``applied_before``.
    """

    id: str
    applied: float
    since_age: float = ALWAYS
    until_age: float = 0
    dead_age: float = 0
    rewritten_age: float = ALWAYS
    applied_before: float = 0

    def applied_at(self, age: float) -> float:
        """The share of the replies of that age that apply it."""
        if age < self.dead_age:
            return 0
        return self.applied_before if age > self.rewritten_age else self.applied


class Action(Struct, frozen=True):
    """What the agent can do, from ``since_age`` to ``until_age`` (as of an Instruction).

    ``handoff``: how often a person takes the conversation over once it was invoked. ``repeated``:
    how often it is invoked again in the same reply.
    """

    id: str
    handoff: float = 0
    repeated: float = 0.02
    since_age: float = ALWAYS
    until_age: float = 0


class Topic(Struct, frozen=True):
    """What customers write about, with its share of the conversations.

    ``actions`` are the ids of actions with the share of the topic's conversations that need them.
    """

    weight: float
    handoff: float
    instructions: Sequence[Instruction]
    actions: Sequence[tuple[str, float]]
    articles: Sequence[str]
    messages: Sequence[str]


EVERYWHERE: Final = (
    Instruction("tone-of-voice", 0.61),
    Instruction("never-guess-order-data", 0.27),
    Instruction("ask-one-question-at-a-time", 0.19),
    Instruction("close-with-the-next-step", 0.34),
    Instruction("answer-in-the-customers-language", 0.11),
    Instruction("no-legal-advice", 0.002),
    Instruction("no-emojis", 0),
    Instruction("mention-the-app", 0.04, dead_age=38),
)
"""In the context of every reply."""

HAND_OVER: Final = Instruction("hand-over-politely", 0)
"""In the context of every reply too, and applied where a person takes over."""

ESCALATION: Final = Action("escalate_to_human", handoff=1, repeated=0)
"""What hands a conversation off."""

ACTIONS: Final = (
    Action("lookup_order", repeated=0.07),
    Action("track_parcel", repeated=0.05),
    Action("create_return_label"),
    Action("issue_refund", handoff=0.06),
    Action("cancel_order", handoff=0.09),
    Action("update_address"),
    Action("check_stock", repeated=0.22),
    Action("open_warranty_case", handoff=0.94),
    Action("send_invoice"),
    Action("reset_password", handoff=0.03),
    Action("check_voucher", until_age=45),
    Action("redeem_voucher", since_age=45, repeated=0.04),
    Action("book_callback"),  # nothing ever leads the agent to it
    ESCALATION,
)
