"""``applyrate rejected``, and what an import adds to it."""

from contextlib import closing
from pathlib import Path

import pytest

from applyrate.intake.inbox import FILE, Inbox
from tests.commands import answer, run
from tests.servers import Server

GOOD = '{"reply_id": "r1", "session_id": "s", "replied_at": "2026-03-01T10:00:00Z"}'
BAD = '{"reply_id": "r2", "session_id": "s", "replied_at": "[b]soon[/b]"}'
RULE = "replied_at: is not an ISO 8601 date-time such as 2026-03-01T10:00:00Z"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder into which a file with two bad lines was imported."""
    file = tmp_path / "replies.ndjson"
    file.write_text(f"{GOOD}\n{BAD}\n{{\n", encoding="utf-8")
    folder = tmp_path / "data"
    assert run("import", file, "--format", "replies", "--data", folder).exit_code == 1
    return folder


def test_the_lines_that_an_import_rejected_are_listed(data: Path) -> None:
    told = answer("rejected", "--data", data)
    assert [(row["source"], row["line"], row["index"]) for row in told["items"]] == [
        ("import", 3, None),
        ("import", 2, None),
    ]
    assert {row["reason"]: row["rejected_count"] for row in told["reasons"]} == {
        RULE: 1,
        "the reply: not JSON: it ends too early": 1,
    }


def test_the_pages_follow_each_other(data: Path) -> None:
    first = answer("rejected", "--limit", 1, "--data", data)
    second = answer("rejected", "--limit", 1, "--cursor", first["next"], "--data", data)
    assert [row["line"] for row in first["items"] + second["items"]] == [3, 2]
    assert second["next"] is None


def test_the_tables_tell_what_came_how_often_and_why(data: Path) -> None:
    for columns in (80, 140):
        told = run("rejected", "--data", data, columns=columns).stdout
        for words in ("import", "line 2", "line 3", "'[b]soon[/b]'", "not JSON: it ends"):
            assert words in " ".join(told.split())
        assert max(map(len, told.splitlines())) <= columns
    cursor = answer("rejected", "--limit", 1, "--data", data)["next"]
    assert f"--cursor {cursor}" in run("rejected", "--limit", 1, "--data", data).stdout


def test_the_command_answers_as_the_api_does(server: Server) -> None:
    org = server.new_org()
    client = server.client(org)
    where = ("--org", org, "--data", server.data)
    assert answer("rejected", *where) == client.get("/intake/rejected").json()
    assert "Nothing was." in run("rejected", *where).stdout


def test_a_file_of_faults_alone_brought_nothing(tmp_path: Path) -> None:
    file = tmp_path / "replies.ndjson"
    file.write_text(BAD, encoding="utf-8")
    assert run("import", file, "--format", "replies", "--data", tmp_path).exit_code == 1
    with closing(Inbox(tmp_path / FILE, max_spans=1)) as inbox:
        assert inbox.depth("default").arrivals == []


def test_a_file_without_a_fault_adds_nothing(tmp_path: Path) -> None:
    file = tmp_path / "replies.ndjson"
    file.write_text(GOOD, encoding="utf-8")
    assert run("import", file, "--format", "replies", "--data", tmp_path).exit_code == 0
    assert answer("rejected", "--data", tmp_path)["reasons"] == []


def test_a_folder_without_data_is_not_made(tmp_path: Path) -> None:
    result = run("rejected", "--data", tmp_path / "nothing")
    assert result.exit_code == 1
    assert "there is no data" in result.stderr
    assert not (tmp_path / "nothing").exists()
