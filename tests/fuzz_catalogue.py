"""Throw bytes at the decoder of the catalogue's entries."""

import atheris  # type: ignore[import-untyped]  # it has no types
import msgspec

with atheris.instrument_imports(include=["applyrate"]):
    from applyrate.errors import InvalidInput
    from applyrate.intake.catalogue import decode_entry, read_entry_id
    from tests.fuzzing import fuzz


def check(data: bytes) -> None:
    """Fail where an entry that is taken breaks a rule, or one that is not has no reason."""
    entry_id = read_entry_id(data)
    try:
        entry = decode_entry(data)
    except InvalidInput as error:
        error.message.encode()
        return
    assert entry_id == entry.id
    assert 1 <= len(entry.id) <= 512
    entry.id.encode()
    if isinstance(entry.url, str):
        assert entry.url.startswith(("http://", "https://"))
    assert decode_entry(msgspec.json.encode(entry)) == entry


def seeds() -> list[bytes]:
    """Inputs to begin with."""
    whole = {
        "type": "instruction",
        "id": "ins_refund",
        "name": "Refunds",
        "version": "2026-03",
        "url": "https://wiki.example.com/agent/refunds",
        "published_at": "2026-03-01T09:00:00Z",
        "keep": False,
    }
    return [msgspec.json.encode(whole), b'{"type":"action","id":"a","name":null}', b"{}"]


if __name__ == "__main__":
    fuzz(check, seeds())
