"""Lines read in other processes say what they say here, in their order, in bounded memory."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from applyrate.intake.bounds import Bounds
from applyrate.intake.lines import Line
from applyrate.intake.reading_lines import ReadLine, read_lines, read_reply, read_within
from applyrate.intake.transcripts import read_transcript
from applyrate.settings import Settings
from tests.commands import answer, run, start_process

END_SECONDS = 60


def reply(number: int, **changes: Any) -> bytes:
    fields = {
        "reply_id": f"r_{number}",
        "session_id": f"s_{number // 2}",
        "replied_at": f"2026-03-01T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}Z",
        "applied": {"action": ["look_up"]},
    }
    return json.dumps(fields | changes).encode()


ODD_REPLIES = [
    reply(1, replied_at="0001-01-01T00:00:00Z"),
    reply(2, replied_at="2026-03-01T10:00:00.000001+05:45"),
    reply(3, applied={"action": ["look", {"id": "look", "call_id": "call_1"}]}),
    reply(4, session_id="ß€😀", ticket_number=2**63 - 1, last_message="two\nlines"),
    reply(5, replied_at="soon"),
    b"nonsense",
    reply(6, available={"instruction": [""]}),
]
CONVERSATION = {
    "id": "c_1",
    "messages": [
        {"role": "system", "content": "# Tone\n# Refunds"},
        {"role": "user", "content": "Hi", "created_at": "2026-03-01T10:00:00Z"},
        {
            "role": "assistant",
            "tool_calls": [{"id": "call_1", "function": {"name": "escalate_to_human"}}],
            "created_at": "2026-03-01T10:00:20Z",
        },
    ],
}


def lines(raws: list[bytes]) -> list[Line]:
    return [Line(number, raw) for number, raw in enumerate(raws, 1)]


@pytest.mark.parametrize(
    ("read", "given"),
    [
        (read_reply, [*lines(ODD_REPLIES * 1_000), Line(7_001, b"", "the gzip data ends here")]),
        (read_transcript, lines([json.dumps(CONVERSATION).encode(), b"[]"] * 3_500)),
    ],
)
def test_lines_say_the_same_wherever_they_are_read(read: Any, given: list[Line]) -> None:
    within = partial(read_within, Bounds.of(Settings()), read)
    here = list(read_lines(given, within))
    assert [line.number for line in here] == [line.number for line in given]
    assert {line.fault is None for line in here} == {True, False}
    beside = list(read_lines(given, within, beside=2))
    assert beside == here
    for one, other in zip(here, beside, strict=True):
        assert msgspec.json.encode(one) == msgspec.json.encode(other)


def test_only_a_bounded_part_of_the_file_is_read_ahead() -> None:
    taken = 0

    def count() -> Iterator[Line]:
        nonlocal taken
        for number in range(1, 50_001):
            taken += 1
            yield Line(number, reply(number % 80_000))

    read: Iterator[ReadLine] = read_lines(count(), read_reply, beside=1)
    assert next(read).number == 1
    assert taken <= 6_000
    read.close()  # type: ignore[attr-defined]  # it is a generator


def test_two_workers_import_what_one_does(tmp_path: Path) -> None:
    file = tmp_path / "file.ndjson"
    raws = [reply(number) for number in range(8_000)]
    raws[10], raws[7_654] = b"nonsense", reply(1, session_id="another")
    file.write_bytes(b"\n".join(raws))
    told = {}
    for workers in (1, 2):
        data = tmp_path / str(workers)
        result = run(
            *("import", file, "--format", "replies", "--data", data),
            *("--workers", workers, "--json"),
        )
        assert result.exit_code == 1
        told[workers] = (
            json.loads(result.stdout),
            answer("summary", "action", "look_up", "--data", data),
        )
        assert answer("check", "--data", data)["faults"] == []
    assert told[1] == told[2]
    assert [bad["line"] for bad in told[2][0]["rejected"]] == [11, 7_655]


@pytest.fixture
def importing(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """An import with two workers, of which lines were read already, and that waits for more."""
    process = start_process(
        *("import", "-", "--format", "replies", "--data", tmp_path / "data", "--workers", 2),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdin
    process.stdin.write(b"".join(reply(number) + b"\n" for number in range(12_000)))
    process.stdin.flush()
    yield process
    if process.poll() is None:
        process.kill()
    process.communicate(timeout=END_SECONDS)


def workers_of(process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    found = psutil.Process(process.pid).children(recursive=True)
    return [child for child in found if "spawn_main" in " ".join(child.cmdline())]


def test_a_worker_that_is_killed_ends_the_import_and_what_is_recorded_stays(
    importing: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    (worker,) = workers_of(importing)
    worker.kill()
    more = b"".join(reply(number) + b"\n" for number in range(12_000, 14_000))
    _, told = importing.communicate(more, timeout=END_SECONDS)
    assert importing.returncode == 1
    assert "a process that reads lines was ended from outside" in told.decode()
    assert answer("check", "--data", tmp_path / "data")["faults"] == []


def test_no_worker_outlives_an_import_that_is_killed(
    importing: "subprocess.Popen[bytes]",
) -> None:
    workers = workers_of(importing)
    assert len(workers) == 1
    importing.kill()
    gone, alive = psutil.wait_procs(workers, timeout=END_SECONDS)
    assert (len(gone), alive) == (1, [])


def test_an_interrupted_import_with_workers_ends_in_good_order(
    importing: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    workers = workers_of(importing)
    os.killpg(importing.pid, signal.SIGINT)  # as a terminal does: to all of them
    out, told = importing.communicate(timeout=END_SECONDS)
    assert importing.returncode == 130, told
    assert "Traceback" not in told.decode()
    assert "Interrupted." in told.decode()
    psutil.wait_procs(workers, timeout=END_SECONDS)
    recorded = int(out.split()[0].replace(b",", b""))
    counted = answer("summary", "action", "look_up", "--data", tmp_path / "data")
    assert counted["applied_replies"] == recorded >= 4_000
