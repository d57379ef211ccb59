"""The ids of instructions follow from a prompt's text alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from applyrate.intake.prompts import identifier, instructions


def instruction_ids(text: str) -> tuple[str, ...]:
    return tuple(instructions(text))


@pytest.mark.parametrize(
    ("heading", "instruction"),
    [
        ("# Refund policy", "refund-policy"),
        ("###### Refund policy ######", "refund-policy"),
        ("   ## Refund -- policy!", "refund-policy"),
        ("##\tRefund\tpolicy", "refund-policy"),
        ("# **Refund** _policy_", "refund-policy"),
        ("# 2. Refunds over $500", "2-refunds-over-500"),
        ("# Rückgabe", "rückgabe"),
        ("# Ru\u0308ckgabe", "rückgabe"),
        ("# 退款 政策", "退款-政策"),
        ("# \u0939\u093f\u0928\u094d\u0926\u0940", "\u0939\u093f\u0928\u094d\u0926\u0940"),
        ("# \u26a0\ufe0f Refunds", "refunds"),
        ("# C#", "c"),
    ],
)
def test_a_heading_names_an_instruction(heading: str, instruction: str) -> None:
    assert instruction_ids(f"Be kind.\n{heading}\nMore.") == (instruction,)


def test_a_heading_of_signs_alone_still_has_an_id() -> None:
    (instruction,) = instruction_ids("# !!!")
    assert instruction.startswith("sha256-")


@pytest.mark.parametrize(
    "text",
    [
        "#hashtag",
        "####### seven",
        "    # indented code",
        "#",
        "## ##",
        "```\n# a comment\n```",
        "```python\n# a comment\n~~~\n# another\n```",
        "~~~~\n# a comment\n~~~\n# another\n~~~~~",
        "Underlined\n----------",
    ],
)
def test_what_is_no_heading_names_nothing(text: str) -> None:
    assert instruction_ids(f"{text}\n# Refunds") == ("refunds",)


def test_a_fence_that_nobody_closes_holds_the_rest() -> None:
    assert instruction_ids("# Refunds\n```\n# Shipping") == ("refunds",)


def test_headings_keep_their_order_and_come_once() -> None:
    assert instruction_ids("# B\n## A\n# b\n<policy>\n# C") == ("b", "a", "c")


def test_a_prompt_without_headings_is_one_instruction_however_it_is_spaced() -> None:
    (instruction,) = instruction_ids("You are\n  a   kind agent.\n")
    assert instruction == "sha256-8e5fcfa8d546"
    assert instruction_ids(" You are a kind agent.") == (instruction,)
    assert instruction_ids("You are a rude agent.") != (instruction,)


def test_an_instruction_is_named_by_its_heading_as_it_stands() -> None:
    assert instructions("# **Refunds**,\t in short #\n## refunds in short") == {
        "refunds-in-short": "**Refunds**, in short"
    }


def test_an_instruction_without_heading_is_named_by_its_beginning() -> None:
    assert instructions("You are\n  a   kind agent.\n") == {
        "sha256-8e5fcfa8d546": "You are a kind agent."
    }
    (name,) = instructions("kind " * 1000).values()
    assert len(name) == 200
    assert name.endswith("kind…")


@pytest.mark.parametrize("text", ["", " \n\t\n"])
def test_an_empty_prompt_is_no_instruction(text: str) -> None:
    assert instruction_ids(text) == ()


@given(st.text())
def test_every_prompt_gives_ids_that_can_be_recorded(text: str) -> None:
    for instruction in instruction_ids(text):
        assert 1 <= len(instruction) <= 512


def test_a_text_too_long_for_an_id_is_told_apart_from_others_like_it() -> None:
    assert identifier("x" * 512) == "x" * 512
    assert identifier("x" * 513) != identifier("x" * 514)
    assert len(identifier("x" * 513)) <= 512


@pytest.mark.parametrize(
    "text", ["# " + " " * 500_000 + "x", "# x" + " #" * 250_000, "`" * 500_000 + "x`"]
)
@pytest.mark.timeout(60)  # reading it again from each place would take hours
def test_a_line_of_any_length_is_read_in_one_go(text: str) -> None:
    assert instruction_ids(text)
