"""Our own attributes, on any span."""

import pytest

from applyrate.intake.spans import ToolCall, Value
from tests.spans import evidence_of


@pytest.mark.parametrize(
    ("value", "ids"),
    [
        (["a", "b"], ("a", "b")),
        (("a", 7), ("a", "7")),
        ('["a", "b"]', ("a", "b")),
        ("a", ("a",)),
        ("[a] b", ("[a] b",)),
        ([], ()),
        ("", ()),
        (["", None, True, {}], ()),
    ],
)
def test_an_attribute_is_one_id_or_an_array_of_them(value: Value, ids: tuple[str, ...]) -> None:
    found = evidence_of(
        {
            "applyrate.available.instruction": value,
            "applyrate.available.knowledge": value,
            "applyrate.available.action": value,
            "applyrate.applied.instruction": value,
            "applyrate.applied.knowledge": value,
            "applyrate.applied.action": value,
        }
    )
    assert (found.dialects, found.is_work, found.is_reply) == (("applyrate",), True, False)
    assert tuple(found.instructions) == ids
    assert (found.available_knowledge, found.actions) == (ids, ids)
    assert (found.applied_instructions, found.applied_knowledge) == (ids, ids)
    assert found.requested == tuple(ToolCall(each) for each in ids)


def test_an_action_is_invoked_each_time_that_it_is_named() -> None:
    found = evidence_of({"applyrate.applied.action": ["refund", "refund"]})
    assert found.requested == (ToolCall("refund"), ToolCall("refund"))


def test_the_conversation_alone_makes_a_span_work() -> None:
    found = evidence_of({"applyrate.session_id": "conv_1"})
    assert (found.is_work, found.conversation) == (True, {"applyrate.session_id": "conv_1"})
