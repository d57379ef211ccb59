"""``applyrate import``: everything usable is recorded, everything else is named."""

import gzip
import json
import os
import pty
import re
import signal
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from applyrate.intake.imports import CHUNK_REPLIES
from applyrate.intake.lines import Line, LineReader
from applyrate.store import open_store
from applyrate.usage import ConversationFacts, ResourceType
from tests.commands import answer, run, run_process, start_process

END_SECONDS = 30


def reply(number: int, **changes: Any) -> str:
    fields = {
        "reply_id": f"r_{number}",
        "session_id": f"s_{number // 2}",
        "replied_at": f"2026-03-01T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}Z",
        "applied": {"action": ["look_up"]},
    }
    return json.dumps(fields | changes)


def conversation(session_id: str, *actions: str) -> str:
    calls = [{"id": f"call_{n}", "function": {"name": name}} for n, name in enumerate(actions)]
    messages = [
        {"role": "system", "content": "# Tone\n# Refunds"},
        {"role": "user", "content": "Hi", "created_at": "2026-03-01T10:00:00Z"},
        {"role": "assistant", "tool_calls": calls, "created_at": "2026-03-01T10:00:20Z"},
        {"role": "user", "content": "Thanks", "created_at": "2026-03-01T10:00:40Z"},
        {"role": "assistant", "content": "Bye", "created_at": "2026-03-01T10:01:00Z"},
    ]
    return json.dumps({"id": session_id, "messages": messages})


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file.jsonl"


def applied_replies(data: Path, *action: str) -> int:
    return int(
        answer("summary", "action", *(action or ["look_up"]), "--data", data)["applied_replies"]
    )


def test_transcripts_are_counted(data: Path, file: Path) -> None:
    file.write_text(conversation("c_1", "look_up", "look_up") + "\n" + conversation("c_2"))
    imported = answer("import", file, "--format", "transcripts", "--data", data)
    assert imported == {
        "lines": 2,
        "accepted": 4,
        "duplicates": 0,
        "handed_off": 0,
        "rejected": [],
    }
    assert applied_replies(data) == 2
    refunds = answer("summary", "instruction", "refunds", "--data", data)
    assert (refunds["available_sessions"], refunds["available_replies"]) == (2, 4)
    assert refunds["applied_replies"] == 0


def test_importing_again_changes_nothing(data: Path, file: Path) -> None:
    file.write_text(conversation("c_1", "look_up", "escalate_to_human"))
    answer("import", file, "--format", "transcripts", "--data", data)
    before = answer("list", "action", "--data", data)
    again = answer("import", file, "--format", "transcripts", "--data", data)
    assert (again["accepted"], again["duplicates"]) == (0, 2)
    assert answer("list", "action", "--data", data) == before


def test_a_longer_version_of_a_conversation_adds_its_new_replies(data: Path, file: Path) -> None:
    whole = json.loads(conversation("c_1", "look_up"))
    file.write_text(json.dumps(whole | {"messages": whole["messages"][:4]}))
    assert answer("import", file, "--format", "transcripts", "--data", data)["accepted"] == 1
    file.write_text(json.dumps(whole))
    imported = answer("import", file, "--format", "transcripts", "--data", data)
    assert (imported["accepted"], imported["duplicates"]) == (1, 1)


def test_a_reply_that_went_on_after_its_import_is_reported(data: Path, file: Path) -> None:
    whole = json.loads(conversation("c_1", "look_up"))
    file.write_text(json.dumps(whole))
    answer("import", file, "--format", "transcripts", "--data", data)
    more = {"role": "assistant", "content": "One more thing", "created_at": "2026-03-01T11:00:00Z"}
    file.write_text("\n" + json.dumps(whole | {"messages": [*whole["messages"], more]}))
    result = run("import", file, "--format", "transcripts", "--data", data)
    assert result.exit_code == 1
    assert re.search(r"^line 2: reply 'c_1#2': .*already recorded", result.stderr)
    assert "0 replies imported, 1 known before, 1 rejected" in result.stdout


@pytest.mark.parametrize(
    ("options", "handed_off"),
    [
        ([], 1),
        (["--handoff-action", "to_a_person"], 1),
        (["--handoff-action", "to_a_person", "--handoff-action", "escalate_to_human"], 2),
    ],
)
def test_a_handoff_action_hands_its_conversation_off(
    data: Path, file: Path, options: list[str], handed_off: int
) -> None:
    file.write_text(
        "\n".join(
            [
                conversation("c_1", "look_up", "to_a_person"),
                conversation("c_2", "look_up", "escalate_to_human"),
                conversation("c_3", "look_up"),
            ]
        )
    )
    imported = answer("import", file, "--format", "transcripts", "--data", data, *options)
    assert imported["handed_off"] == handed_off
    (row,) = (
        row
        for row in answer("list", "action", "--data", data)["items"]
        if row["resource_id"] == "look_up"
    )
    assert (row["applied_sessions"], row["handoff_count"]) == (3, handed_off)


def test_a_bad_line_is_reported_with_its_number_and_the_rest_goes_on(
    data: Path, file: Path
) -> None:
    file.write_text(
        "\n".join([reply(1), "", "nonsense", reply(2, replied_at="soon"), reply(3), "\t"])
    )
    result = run("import", file, "--format", "replies", "--data", data)
    assert result.exit_code == 1
    first, second = result.stderr.splitlines()
    assert first.startswith("line 3: the reply: not JSON")
    assert second.startswith("line 4: replied_at: 'soon' is not an ISO 8601 date-time")
    assert result.stdout.startswith("2 replies imported, 2 rejected")
    assert applied_replies(data) == 2


def test_a_file_of_bad_lines_alone_fails(data: Path, file: Path) -> None:
    file.write_text("[]\n[]\n")
    result = run("import", file, "--format", "transcripts", "--data", data)
    assert result.exit_code == 1
    assert "0 replies imported, 2 rejected" in result.stdout


def test_for_machines_the_bad_lines_are_in_the_answer(data: Path, file: Path) -> None:
    file.write_text("\n".join([reply(1), "[]", reply(1, session_id="another")]))
    result = run("import", file, "--format", "replies", "--data", data, "--json")
    assert (result.exit_code, result.stderr) == (1, "")
    imported = json.loads(result.stdout)
    assert [(bad["line"], bad["reply_id"]) for bad in imported["rejected"]] == [
        (2, None),
        (3, "r_1"),
    ]
    assert imported["accepted"] == 1


def test_a_file_of_many_chunks_is_imported_whole(data: Path, file: Path) -> None:
    count = 2 * CHUNK_REPLIES + 7
    file.write_text("".join(reply(number) + "\n" for number in range(count)))
    assert answer("import", file, "--format", "replies", "--data", data)["accepted"] == count
    assert applied_replies(data) == count


def test_a_conversation_larger_than_a_chunk_is_imported_whole(data: Path, file: Path) -> None:
    count = 2 * CHUNK_REPLIES + 7
    messages = [
        {"role": role, "content": "...", "created_at": 1_767_225_600 + number}
        for number in range(count)
        for role in ("user", "assistant")
    ]
    tool = {"function": {"name": "look_up"}}
    file.write_text(json.dumps({"id": "c_1", "messages": messages, "tools": [tool]}))
    imported = answer("import", file, "--format", "transcripts", "--data", data)
    assert (imported["lines"], imported["accepted"]) == (1, count)
    counted = answer("summary", "action", "look_up", "--data", data)
    assert (counted["available_sessions"], counted["available_replies"]) == (1, count)


def test_importing_again_does_not_undo_what_was_set_of_a_handoff(data: Path, file: Path) -> None:
    call = {"role": "assistant", "created_at": 0, "tool_calls": [{"function": {"name": "over"}}]}
    file.write_text("".join(json.dumps({"id": c, "messages": [call]}) + "\n" for c in "ab"))
    command = ("import", file, "--format", "transcripts", "--data", data)
    assert answer(*command, "--handoff-action", "over")["handed_off"] == 2
    with closing(open_store(data)) as store:
        store.set_conversations("default", {"a": ConversationFacts(handed_off_at=None)})
    assert answer(*command, "--handoff-action", "over")["handed_off"] == 2
    (row,) = answer("list", "action", "--data", data)["items"]
    assert row["handoff_count"] == 1
    assert answer("check", "--data", data)["faults"] == []


def test_transcripts_tell_actions_alone_and_name_their_instructions(data: Path, file: Path) -> None:
    prompt = {"role": "system", "content": "# Refunds (EU)\nWithin 14 days."}
    said = {"role": "assistant", "content": "Hello.", "created_at": 0}
    conversations = [{"id": number, "messages": [prompt, said]} for number in range(3)]
    file.write_text("".join(json.dumps(one) + "\n" for one in conversations))
    answer("import", file, "--format", "transcripts", "--data", data)
    signals = {name: answer("list", name, "--data", data) for name in ResourceType}
    assert {name: listed["applied_signal"] for name, listed in signals.items()} == {
        "action": True,
        "instruction": False,
        "knowledge": False,
    }
    (row,) = signals[ResourceType.INSTRUCTION]["items"]
    assert (row["resource_id"], row["name"]) == ("refunds-eu", "Refunds (EU)")
    file.write_text(reply(1))
    answer("import", file, "--format", "replies", "--data", data)
    assert answer("list", "knowledge", "--data", data)["applied_signal"] is True


def test_gzip_and_standard_input_are_read_alike(data: Path, file: Path) -> None:
    lines = "\n".join([reply(1), reply(2), reply(3)]).encode()
    file.write_bytes(gzip.compress(lines[:100]) + gzip.compress(lines[100:]))
    assert answer("import", file, "--format", "replies", "--data", data)["accepted"] == 3
    for stdin in (lines, gzip.compress(lines)):
        result = run_process(
            "import", "-", "--format", "replies", "--data", data, "--json", stdin=stdin
        )
        assert json.loads(result.stdout)["duplicates"] == 3


def test_what_comes_before_broken_gzip_data_is_imported(data: Path, file: Path) -> None:
    lines = "".join(reply(number) + "\n" for number in range(3000)).encode()
    file.write_bytes(gzip.compress(lines)[:-2000])
    result = run("import", file, "--format", "replies", "--data", data, "--json")
    imported = json.loads(result.stdout)
    assert result.exit_code == 1
    assert 0 < imported["accepted"] < 3000
    (bad,) = imported["rejected"]
    assert bad["line"] == imported["lines"] + 1
    assert "gzip" in bad["message"]


def read_lines(raw: bytes, max_line_bytes: int, tmp_path: Path) -> list[Line]:
    (tmp_path / "lines").write_bytes(raw)
    with (tmp_path / "lines").open("rb") as file:
        return list(LineReader(file, max_line_bytes))


def test_a_line_too_long_to_hold_is_skipped_and_named(tmp_path: Path) -> None:
    lines = read_lines(b"a\n" + b"b" * 100 + b"\nc\n" + b"d" * 100, 10, tmp_path)
    assert [(line.number, line.raw, bool(line.fault)) for line in lines] == [
        (1, b"a", False),
        (2, b"", True),
        (3, b"c", False),
        (4, b"", True),
    ]


def test_line_ends_and_a_byte_order_mark_are_no_part_of_a_line(tmp_path: Path) -> None:
    lines = read_lines(b"\xef\xbb\xbfa\r\n\r\n b\t\n", 10, tmp_path)
    assert lines == [Line(1, b"a"), Line(3, b"b")]


def test_an_empty_file_imports_nothing(data: Path, file: Path) -> None:
    file.touch()
    assert answer("import", file, "--format", "replies", "--data", data)["lines"] == 0
    assert answer("check", "--data", data)["organizations"] == 0


def test_quiet_says_only_what_went_wrong(data: Path, file: Path) -> None:
    file.write_text(reply(1) + "\nnonsense\n")
    result = run("import", file, "--format", "replies", "--data", data, "--quiet")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("line 2: ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-file", "--format", "replies"],
        [".", "--format", "replies"],
        [__file__],
        [__file__, "--format", "csv"],
    ],
)
def test_a_wrong_call_imports_nothing(data: Path, arguments: list[str]) -> None:
    result = run("import", *arguments, "--data", data)
    assert result.exit_code == 2
    assert not data.exists()


def test_in_a_terminal_the_progress_shows_count_and_rate(data: Path, file: Path) -> None:
    file.write_text("".join(reply(number) + "\n" for number in range(1500)))
    ours, theirs = pty.openpty()
    with start_process(
        "import", file, "--format", "replies", "--data", data, stdout=subprocess.PIPE, stderr=theirs
    ) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 65_536)
            except OSError:  # how Linux says that the other side has gone
                break
            shown += piece
        stdout, _ = process.communicate(timeout=END_SECONDS)
    os.close(ours)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
    assert re.search(r"file\.jsonl .* 100% 1,500 replies [\d,]+/s 0:00:00", text)
    assert stdout.startswith(b"1,500 replies imported")


def test_an_interrupt_keeps_what_was_read_and_says_so(data: Path) -> None:
    with start_process(
        "import",
        "-",
        "--format",
        "replies",
        "--data",
        data,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        count = CHUNK_REPLIES + 200
        process.stdin.write("".join(reply(number) + "\n" for number in range(count)).encode())
        process.stdin.flush()
        deadline = time.monotonic() + END_SECONDS
        while not data.exists() or not run("check", "--data", data).stdout.startswith(
            "No fault in 1"
        ):
            assert time.monotonic() < deadline
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=END_SECONDS)
    assert process.returncode == 130
    told, _, rest = stdout.decode().partition(" ")
    assert rest.startswith("replies imported")
    assert b"Import the file again" in stderr
    assert CHUNK_REPLIES <= applied_replies(data) == int(told.replace(",", "")) <= count
