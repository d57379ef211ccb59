"""Throw bytes at the decoder of transcripts: its replies keep all rules, and are told once."""

import json

import atheris  # type: ignore[import-untyped]  # it has no types
import msgspec

with atheris.instrument_imports(include=["applyrate"]):
    from applyrate.errors import InvalidInput
    from applyrate.intake.replies import decode_reply
    from applyrate.intake.transcripts import read_transcript
    from tests.fuzzing import fuzz


def check(data: bytes) -> None:
    """Fail where a transcript raises anything but what it may, or gives what no sender may send."""
    try:
        transcript = read_transcript(data)
    except InvalidInput as error:
        error.message.encode()
        return
    reply_ids = [reply.reply_id for reply in transcript.replies]
    assert len(set(reply_ids)) == len(reply_ids)
    for reply in transcript.replies:
        assert reply.session_id == transcript.session_id
        assert decode_reply(msgspec.json.encode(reply)) == reply
    at = transcript.handed_off_at
    assert at is None or at.utcoffset() is not None
    for name in transcript.instruction_names.values():
        name.encode()
    assert read_transcript(data) == transcript


def seeds() -> list[bytes]:
    """Inputs to begin with."""
    call = {"id": "call_1", "function": {"name": "transfer_to_human_agents", "arguments": "{}"}}
    messages = [
        {"role": "system", "content": "# Refunds\nAsk first.\n## Tone\nBe kind."},
        {"role": "user", "content": "Hi", "created_at": 1_767_225_600},
        {"role": "assistant", "content": None, "tool_calls": [call], "id": "m_1"},
        {"role": "tool", "content": "done"},
        {"role": "assistant", "content": [{"text": "Bye"}], "created_at": "2026-01-01T00:00:01Z"},
    ]
    tools = [{"function": {"name": "lookup"}}, {"custom": {"name": "other"}}]
    whole = {"id": "c_1", "messages": messages, "tools": tools, "created_at": 1_767_225_600.5}
    return [json.dumps(whole).encode(), b'{"id":7,"messages":[]}', b"{}"]


if __name__ == "__main__":
    fuzz(check, seeds())
