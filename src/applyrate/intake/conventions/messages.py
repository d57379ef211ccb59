"""Messages between a person, a model and its tools, in the shapes that frameworks give them.

A message is OpenTelemetry's ``{"role", "parts": [{"type", "content"}]}``, or the chat form
``{"role", "content", "tool_calls"}`` with the parts of OpenAI, Anthropic, Bedrock or Vercel in it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from applyrate.intake.conventions.values import first_identifier, objects, parsed, text_of
from applyrate.intake.spans import ToolCall, Value

Message = Mapping[str, Value]

_CALL_TYPES: Final = ("tool_call", "server_tool_call", "function_call", "tool-call", "tool_use")
_RESULT_TYPES: Final = ("tool_call_response", "server_tool_call_response", "tool-result")
_TEXT_TYPES: Final = (None, "text", "output_text", "input_text")
SYSTEM_ROLES: Final = ("system", "developer")
_OTHER_ROLES: Final = (*SYSTEM_ROLES, "user", "human", "tool", "function")
_NAMES: Final = ("name", "toolName", "tool_name")
_CALL_IDS: Final = ("call_id", "toolCallId", "tool_call_id", "toolUseId", "id")


class Said(NamedTuple):
    """What messages of a model say: the text of the last that has one, its calls, and results."""

    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    results: tuple[Value, ...] = ()


def read_output(value: Value) -> Said:
    """What a model's output says; a text that is no JSON is what it says."""
    found = parsed(value)
    if found is None:
        return Said(text_of(value))
    text, calls, results = "", [], []
    for message in _messages(found):
        if message.get("role") not in _OTHER_ROLES:
            text = _text(message) or text
        calls += read_calls(message.get("tool_calls"))
        calls += _calls((message,)) if message.get("type") in _CALL_TYPES else ()
        if isinstance(message.get("function_call"), dict):
            calls += _calls(objects(message["function_call"]))
        parts = [part for part in _parts(message) if isinstance(part, dict)]
        calls += _calls(part for part in parts if part.get("type") in _CALL_TYPES)
        calls += _calls(use for part in parts if isinstance(use := part.get("toolUse"), dict))
        results += [
            part.get("response", part.get("result", part.get("output")))
            for part in parts
            if part.get("type") in _RESULT_TYPES
        ]
    return Said(text, tuple(calls), tuple(results))


def read_calls(value: Value) -> list[ToolCall]:
    """The calls of an array of them."""
    return _calls(objects(value))


def read_system(value: Value) -> list[Value]:
    """The contents of the system messages among the messages that a model was given."""
    if isinstance(value, str):
        # A history may be long, and its one system message is all that is wanted of it.
        if '"system"' not in value and '"developer"' not in value:
            return []
        try:
            history: Sequence[_Sketch] = _HISTORY.decode(value)
        except (msgspec.DecodeError, ValueError, RecursionError):
            pass
        else:
            return [
                content
                for sketch in history
                if sketch.role in SYSTEM_ROLES
                and (content := _decoded(sketch.parts or sketch.content)) is not None
            ]
    return [
        message.get("parts", message.get("content"))
        for message in _messages(parsed(value))
        if message.get("role") in SYSTEM_ROLES
    ]


class _Sketch(msgspec.Struct):
    """A message of which only the role is read."""

    role: str
    parts: msgspec.Raw = msgspec.Raw()
    content: msgspec.Raw = msgspec.Raw()


_HISTORY: Final = msgspec.json.Decoder(list[_Sketch])


def _decoded(raw: msgspec.Raw) -> Value:
    try:
        found: Value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return found


def _messages(value: Value) -> Iterator[Message]:
    if isinstance(value, dict) and "messages" in value:
        value = parsed(value["messages"])
    elif isinstance(value, dict) and "choices" in value:
        value = parsed(value["choices"])
    for item in objects(value):
        inner = item.get("message")
        yield inner if isinstance(inner, dict) else item


def _parts(message: Message) -> Sequence[Value]:
    content = message.get("parts", message.get("content"))
    if isinstance(content, str) and content[:2] in _OPENING:
        content = parsed(content) or content
    return content if isinstance(content, list | tuple) else (content,)


_OPENING: Final = ("[{", "[ ", "[\n")


def _text(message: Message) -> str:
    texts = (part_text(part) for part in _parts(message))
    return "\n".join(text for text in texts if text)


def part_text(part: Value) -> str:
    """The text of a part; of one that is no text, nothing."""
    if isinstance(part, dict):
        if part.get("type") not in _TEXT_TYPES:
            return ""
        return text_of(part.get("content", part.get("text")))
    return text_of(part)


def _calls(found: Iterable[Message]) -> list[ToolCall]:
    calls = []
    for call in found:
        inner = call.get("function")
        named = inner if isinstance(inner, dict) else call
        name = first_identifier(named, _NAMES)
        if name is not None:
            calls.append(ToolCall(name, first_identifier(call, _CALL_IDS)))
    return calls
