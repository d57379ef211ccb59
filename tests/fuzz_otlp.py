"""Throw bytes at the decoder of OTLP.

An input that begins with a brace is JSON; of any other the first byte is cut off, and the rest is
protobuf. Whatever comes, the decoder raises nothing but what it says it raises, takes little memory
and time, and gives spans that keep all rules and can be read by all conventions.
"""

import json
import re

import atheris  # type: ignore[import-untyped]  # it has no types
import msgspec

with atheris.instrument_imports(include=["applyrate"]):
    from applyrate.errors import InvalidInput, PayloadTooLarge
    from applyrate.intake.conventions import Rules, observe
    from applyrate.intake.otlp import Decoded, decode_json, decode_protobuf
    from applyrate.intake.otlp.decoded import MAX_TOLD
    from applyrate.settings import Settings
    from tests.fuzzing import fuzz
    from tests.otlp_fixtures import (
        FOLDER,
        as_otlp_json,
        captured_json,
        captured_protobuf,
        fixture_names,
        make_request,
        make_span,
    )

RULES = Rules.of(Settings())
_TRACE_ID, _SPAN_ID = re.compile("[0-9a-f]{32}"), re.compile("[0-9a-f]{16}")


def check(data: bytes) -> None:
    """Decode an input, and check what came out of it."""
    decode = decode_json if data[:1] == b"{" else decode_protobuf
    try:
        decoded = decode(data if decode is decode_json else data[1:])
    except (InvalidInput, PayloadTooLarge) as error:
        error.message.encode()
        return
    check_decoded(decoded)


def check_decoded(decoded: Decoded) -> None:
    """Fail where a span breaks a rule that every span keeps."""
    assert len(decoded.reasons) == min(decoded.refused_count, MAX_TOLD)
    decoded.message.encode()
    for span in decoded.spans:
        assert _TRACE_ID.fullmatch(span.trace_id)
        assert _SPAN_ID.fullmatch(span.span_id)
        assert span.parent_id is None or _SPAN_ID.fullmatch(span.parent_id)
        assert 0 <= span.started_at < 2**54
        assert 0 <= span.ended_at < 2**54
        assert not (span.is_entry and span.parent_id is None)
        span.name.encode()
        msgspec.json.encode(observe(span, RULES))


def seeds() -> list[bytes]:
    """Inputs to begin with: requests made here, and captured ones where there are any."""
    request = make_request(make_span(parent_span_id=b"parentid"), make_span(span_id=b""))
    span = request.resource_spans[0].scope_spans[0].spans[0]
    value = span.attributes.add(key="all").value.kvlist_value
    value.values.add(key="a").value.array_value.values.add().int_value = -1
    value.values.add(key="b").value.bytes_value = b"\xff"
    value.values.add(key="c").value.double_value = 1.5
    span.events.add(name="cited").attributes.add(key="id").value.bool_value = True
    found = [b"p" + request.SerializeToString(), json.dumps(as_otlp_json(request)).encode()]
    if FOLDER.exists():
        for name in fixture_names():
            found += [b"p" + captured_protobuf(name), captured_json(name)]
    return found


if __name__ == "__main__":
    fuzz(check, seeds())
