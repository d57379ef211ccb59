"""Throw texts at the place that a stream goes on from, as a browser or a query gives it."""

import atheris  # type: ignore[import-untyped]  # it has no types

with atheris.instrument_imports(include=["applyrate"]):
    from applyrate.api.streams import read_event_id
    from applyrate.errors import InvalidInput
    from tests.fuzzing import fuzz

LARGEST = 2**63 - 1


def check(data: bytes) -> None:
    """Fail where an id is none that the store can be asked for, or is not the one that was sent."""
    text = data.decode("latin-1")
    try:
        event_id = read_event_id("last_event_id", text)
    except InvalidInput as error:
        error.message.encode()
        return
    if event_id is None:
        assert text == ""
    else:
        assert event_id == min(int(text), LARGEST)


def seeds() -> list[bytes]:
    """Inputs to begin with."""
    return [b"0", b"4711", str(LARGEST).encode(), str(LARGEST + 1).encode(), b"-1", b"\xb2", b" 1"]


if __name__ == "__main__":
    fuzz(check, seeds())
