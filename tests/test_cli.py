"""What every command keeps: where the data is, how it fails, how it explains itself."""

import json
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import pytest

from applyrate.keys import is_well_formed
from applyrate.store import open_store
from applyrate.usage import Applied, Recording, Reply
from tests.commands import answer, run, run_process, start_process
from tests.servers import Server

END_SECONDS = 30

READING = [
    ("summary", "action", "x"),
    ("list", "action"),
    ("conversations", "action", "x"),
    ("check",),
    ("keys", "list"),
    ("keys", "revoke", "key_1"),
]


def record(data: Path) -> None:
    reply = Reply("r_1", "s_1", datetime(2026, 3, 1, tzinfo=UTC), applied=Applied(action=["x"]))
    with closing(open_store(data)) as store:
        store.record([Recording("default", [reply])])


@pytest.mark.parametrize("command", READING)
def test_reading_makes_no_data_folder(tmp_path: Path, command: tuple[str, ...]) -> None:
    for data in (tmp_path / "data", tmp_path):
        result = run(*command, "--data", data)
        assert result.exit_code == 1
        assert f"there is no data in {str(data)!r}" in result.stderr
        assert "applyrate import" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_data_folder_is_a_setting_that_the_option_overrides(tmp_path: Path) -> None:
    for name in ("setting", "option"):
        record(tmp_path / name)
    told = run("summary", "action", "x", "--json", data=tmp_path / "setting")
    assert json.loads(told.stdout)["applied_replies"] == 1
    ignored = tmp_path / "nowhere"
    told = run("summary", "action", "x", "--json", "--data", tmp_path / "option", data=ignored)
    assert json.loads(told.stdout)["applied_replies"] == 1


@pytest.mark.parametrize("command", READING)
def test_a_file_that_is_no_database_is_named_in_one_line(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "applyrate.db").write_bytes(b"nothing of ours" * 1000)
    result = run(*command, "--data", tmp_path)
    assert result.exit_code == 1
    assert result.stderr == (
        f"Error: the data in {str(tmp_path)!r} cannot be used: file is not a database\n"
    )


def test_check_names_each_fault(tmp_path: Path) -> None:
    record(tmp_path)
    clean = run("check", "--data", tmp_path)
    assert (clean.exit_code, clean.stderr) == (0, "")
    assert re.match(r"No fault in 1 organization, [\d.]+ MB, checked in [\d.]+ s\.", clean.stdout)
    with closing(sqlite3.connect(tmp_path / "applyrate.db")) as db, db:
        db.execute("UPDATE usage_total SET usage_count = 7")
    faulty = run("check", "--data", tmp_path)
    assert faulty.exit_code == 1
    assert "usage_count is 7, should be 1" in faulty.stdout
    assert "1 fault in 1 organization" in faulty.stdout
    machine = run("check", "--data", tmp_path, "--json")
    assert machine.exit_code == 1
    (fault,) = json.loads(machine.stdout)["faults"]
    assert "usage_count is 7" in fault


def test_commands_work_while_the_service_runs(server: Server, tmp_path: Path) -> None:
    org = server.new_org()
    file = tmp_path / "replies.jsonl"
    file.write_text(
        '{"reply_id": "r", "session_id": "s", "replied_at": "2026-03-01T10:00:00Z",'
        ' "applied": {"action": ["x"]}}\n'
    )
    where = ("--data", server.data, "--org", org)
    assert answer("import", file, "--format", "replies", *where)["accepted"] == 1
    counted = server.client(org).get("/resource-usage/action/x/usage-summary").json()
    assert counted == answer("summary", "action", "x", *where)
    assert counted["applied_replies"] == 1


def serve_until_announced(data: Path) -> tuple[str, str]:
    """Start ``applyrate serve`` and end it by Ctrl-C once it answers: its address and its words."""
    with start_process("serve", "--data", data, "--port", 0, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        told = ""
        try:
            while not (address := re.search(r"http://\S+", told)):
                line = process.stdout.readline().decode()
                assert line, told
                told += line
            assert httpx.get(address[0] + "/health/live").status_code == 200
        finally:
            process.send_signal(signal.SIGINT)
            rest, _ = process.communicate(timeout=END_SECONDS)
    assert process.returncode == 0
    return address[0], told + rest.decode()


def test_the_first_start_prints_a_key_and_no_later_one_does(tmp_path: Path) -> None:
    _, told = serve_until_announced(tmp_path / "data")
    (key,) = re.findall(r"apr_live_\w+", told)
    assert is_well_formed(key)
    assert "shown only this once" in told
    (known,) = answer("keys", "list", "--data", tmp_path / "data")["items"]
    assert (known["hint"], known["scopes"]) == (key[-4:], None)
    _, told = serve_until_announced(tmp_path / "data")
    assert "apr_live_" not in told


def test_an_address_in_use_is_told_in_one_line(server: Server, tmp_path: Path) -> None:
    port = server.url.rpartition(":")[2]
    result = run_process("serve", "--data", tmp_path / "data", "--port", port)
    assert result.returncode == 1
    assert re.match(rb"Error: cannot listen on 127.0.0.1:\d+: ", result.stderr)
    assert result.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    ("setting", "value"), [("port", 70_000), ("port", "many"), ("standard_limit", -1)]
)
def test_a_bad_setting_is_a_wrong_call(tmp_path: Path, setting: str, value: object) -> None:
    settings: dict[str, Any] = {setting: value}
    result = run("serve", "--data", tmp_path / "data", **settings)
    assert result.exit_code == 2
    assert f"APPLYRATE_{setting.upper()}" in result.stderr


def test_the_version_is_the_packages() -> None:
    assert run("--version").stdout == f"applyrate {version('applyrate')}\n"


def test_every_command_and_option_is_explained() -> None:
    commands = [(), ("keys",), ("keys", "create"), ("keys", "list"), ("keys", "revoke")] + [
        (name,) for name in ("serve", "demo", "summary", "list", "conversations", "import", "check")
    ]
    for command in commands:
        result = run(*command, "--help", columns=200)
        assert result.exit_code == 0
        for line in re.findall(r"│ ?\*?\s+(--?\w[^│]+|[a-z]+ {2,}[^│]+)│", result.stdout):
            words = re.split(r" {2,}", line.strip())
            assert len(words[-1]) > 5, line


def test_heavy_imports_wait_for_the_command_that_needs_them() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, applyrate.cli; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    modules = loaded.stdout.split()
    heavy = {"litestar", "granian", "pyroaring", "limits", "jwt", "pydantic", "rich.table"}
    assert heavy.isdisjoint(modules)


def test_whoever_stops_reading_early_ends_it_without_a_word(server: Server) -> None:
    with start_process(
        "list", "action", "--data", server.data, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
