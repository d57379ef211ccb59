"""A disk that fails is told to whoever asks, and all goes on by itself once it works again.

``pytest -s`` shows how much was acknowledged, and looked for afterwards.
"""

import re
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from applyrate.backups import back_up, check_files, restore
from applyrate.store import open_store
from applyrate.usage import Window
from tests import commands, faults
from tests.servers import Server, end_process, running_server

PATIENCE_SECONDS = 60
TRIES = 400

AT = datetime(2026, 3, 1, 10, tzinfo=UTC)
COUNT = "/resource-usage/action/look/usage-summary"


@contextmanager
def logging_server(data: Path, log: Path) -> Iterator[Server]:
    """A service that writes its log into a file; it must end well."""
    prelude = f"import sys; sys.stderr = open({str(log)!r}, 'a', buffering=1)"
    with running_server(data, prelude=prelude) as server:
        yield server
        assert server.process.poll() is None, "it went down"
        assert end_process(server.process) == 0


class Sender:
    """Sends one thing after another, each of its own, and keeps what was acknowledged."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self._numbers = count(1)
        self.replies: set[str] = set()
        self.conversations: set[str] = set()
        self.spans: set[str] = set()

    @property
    def kept(self) -> tuple[set[str], set[str], set[str]]:
        """What was acknowledged, of each kind."""
        return self.replies, self.conversations, self.spans

    def send_reply(self) -> httpx.Response:
        name = self._name("r")
        used = {"action": ["look"], "knowledge": [f"{name}-{'k' * 400}"]}
        answer = self.client.post("/replies", json=reply(name) | {"applied": used})
        return self._keep(answer, 200, self.replies, name)

    def send_facts(self) -> httpx.Response:
        name = self._name("s")
        facts = {"status": "resolved", "last_message": name * 500}
        answer = self.client.put(f"/conversations/{name}", json=facts)
        return self._keep(answer, 204, self.conversations, name)

    def send_span(self) -> httpx.Response:
        name = f"{self._name('')[:15]:>016}"
        body = {"resourceSpans": [{"scopeSpans": [{"spans": [span(name)]}]}]}
        answer = self.client.post("/v1/traces", json=body)
        return self._keep(answer, 200, self.spans, name)

    def _name(self, kind: str) -> str:
        return f"{kind}{next(self._numbers)}"

    def _keep(
        self, answer: httpx.Response, status: int, kept: set[str], name: str
    ) -> httpx.Response:
        if answer.status_code == status:
            kept.add(name)
        return answer


def reply(name: str) -> dict[str, Any]:
    return {"reply_id": name, "session_id": "s", "replied_at": "2026-03-01T10:00:00Z"}


def span(name: str) -> dict[str, Any]:
    """A span that says much, of a trace that goes on."""
    told = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "look" + "x" * 400}
    attributes = [{"key": key, "value": {"stringValue": value}} for key, value in told.items()]
    return {
        "traceId": f"{name:>032}",
        "spanId": name,
        "parentSpanId": "00000000000000ff",
        "name": "execute_tool",
        "startTimeUnixNano": "1772359200000000000",
        "endTimeUnixNano": "1772359201000000000",
        "attributes": attributes,
    }


def failure_of(send: Callable[[], httpx.Response]) -> httpx.Response:
    """The first answer that is not a success; what little room there was is used up by then."""
    for _ in range(TRIES):
        answer = send()
        if not answer.is_success:
            return answer
    raise AssertionError(f"all of {TRIES} were acknowledged")


def wait_for(send: Callable[[], httpx.Response]) -> None:
    """Send until it is acknowledged."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (answer := send()).is_success:
        assert answer.status_code == 503, answer.text
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.1)


def check_unavailable(answer: httpx.Response, file: str, reason: str) -> None:
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["Retry-After"]) >= 1
    message = answer.json()["message"]
    assert message.startswith(f"{file} cannot be "), message
    assert reason in message


def check_kept(data: Path, sender: Sender, org: str = "acme") -> None:
    """All that was acknowledged is there, and all that is there is whole."""
    assert list(check_files(data)) == []
    with closing(open_store(data)) as store:
        assert sender.replies <= {usage.reply_id for usage in store.usages(org, Window())}
        for session_id in sender.conversations:
            conversation = store.conversation(org, session_id)
            assert conversation is not None
            assert conversation.status == "resolved"
    with closing(sqlite3.connect(data / "inbox.db")) as db:
        assert sender.spans <= {name for (name,) in db.execute("SELECT span_id FROM span")}
    print(f"\nall {sum(map(len, sender.kept)):,} that were acknowledged are there")


Fault = Callable[[Server, Path], AbstractContextManager[None]]


@pytest.mark.parametrize(
    ("fault", "reason", "reads"),
    [
        (lambda _, disk: faults.full(disk), "its disk is full", True),
        (
            lambda server, _: faults.no_growth(server.process.pid, server.data),
            "its disk does not take it",
            True,
        ),
        (lambda server, _: faults.immutable(server.data), "its disk does not take it", True),
        (lambda server, _: faults.moved_away(server.data), "it is gone", False),
        (lambda server, _: faults.emptied(server.data), "it is gone", False),
    ],
    ids=["full", "growth", "read-only", "moved", "emptied"],
)
def test_a_fault_is_told_and_over_with_its_cause(
    fault: Fault, reason: str, *, reads: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with ExitStack() as stack:
        is_full = "full" in request.node.callspec.id
        disk = stack.enter_context(faults.small_disk(tmp_path / "d")) if is_full else tmp_path
        with logging_server(disk / "data", tmp_path / "log") as server:
            sender = Sender(server.client("acme"))
            for send in (sender.send_reply, sender.send_facts, sender.send_span):
                assert send().is_success
            with fault(server, disk):
                check_unavailable(failure_of(sender.send_reply), "applyrate.db", reason)
                check_unavailable(failure_of(sender.send_facts), "applyrate.db", reason)
                file = "inbox.db" if reads else "applyrate.db"  # where the keys are
                check_unavailable(failure_of(sender.send_span), file, reason)
                assert sender.client.get(COUNT).status_code == (200 if reads else 503)
                assert sender.client.get("/health/live").status_code == 200
            for send in (sender.send_reply, sender.send_facts, sender.send_span):
                wait_for(send)
            time.sleep(2.1)  # one success among failures does not end a trouble
            assert sender.send_reply().is_success
            counted = sender.client.get(COUNT).json()["applied_replies"]
        assert counted >= len(sender.replies)
        check_kept(disk / "data", sender)
    log = (tmp_path / "log").read_text()
    about = f"file=applyrate.db doing={'written' if reads else 'read'}"
    begun = [line for line in log.splitlines() if "file_unusable" in line and about in line]
    assert reason in begun[0]
    assert len(begun) < 4, "the log is flooded"
    assert any("file_usable" in line and about in line for line in log.splitlines())
    assert "Traceback" not in log


def test_a_service_ends_well_while_its_disk_is_full(tmp_path: Path) -> None:
    with faults.small_disk(tmp_path / "d") as disk:
        with running_server(disk / "data") as server:
            sender = Sender(server.client("acme"))
            assert sender.send_reply().is_success
            with faults.full(disk):
                failure_of(sender.send_reply)
                failure_of(sender.send_span)
                assert end_process(server.process) == 0
        check_kept(disk / "data", sender)


def test_an_upload_that_fills_the_disk_tells_what_of_it_is_recorded(tmp_path: Path) -> None:
    with faults.small_disk(tmp_path / "d") as disk, running_server(disk / "data") as server:
        sender = Sender(server.client("acme"))
        lines = [reply(f"r{number}") for number in range(60_000)]
        body = b"\n".join(httpx.Request("POST", "http://x", json=line).content for line in lines)
        answer = sender.client.post(
            "/replies", content=body, headers={"Content-Type": "application/x-ndjson"}
        )
        assert answer.status_code == 503
        told = re.search(r"(\d+) replies before that are recorded", answer.json()["message"])
        assert told, answer.json()["message"]
        recorded = server.store.replies("acme", [line["reply_id"] for line in lines])
        assert len(recorded) == int(told[1]) > 0


def test_an_import_that_fills_the_disk_is_told_in_a_sentence(tmp_path: Path) -> None:
    with faults.small_disk(tmp_path / "d") as disk:
        lines = tmp_path / "replies"
        text = b"\n".join(
            httpx.Request("POST", "http://x", json=reply(f"r{number}")).content
            for number in range(60_000)
        )
        lines.write_bytes(text)
        arguments = ("import", lines, "--format", "replies", "--data", disk / "data")
        done = commands.run_process(*arguments)
        assert done.returncode == 1
        assert b"Error: applyrate.db cannot be written now: its disk is full" in done.stderr
        assert done.stderr.count(b"\n") == 1
        assert list(check_files(disk / "data")) == []


def test_a_removed_folder_comes_back_from_a_backup_under_the_running_service(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    with logging_server(data, tmp_path / "log") as server:
        sender = Sender(server.client("acme"))
        for send in (sender.send_reply, sender.send_reply, sender.send_facts, sender.send_span):
            assert send().is_success
        assert sender.client.get(COUNT).json()["applied_replies"] == 2
        back_up(data, tmp_path / "backup")
        assert sender.send_reply().is_success
        assert sender.client.get(COUNT).json()["applied_replies"] == 3
        shutil.rmtree(data)
        for send in (sender.send_reply, sender.send_facts, sender.send_span):
            check_unavailable(send(), "applyrate.db", "it is gone")  # where the keys are
        check_unavailable(sender.client.get(COUNT), "applyrate.db", "it is gone")
        assert not data.exists(), "an empty store must not pass for the one that is lost"

        restore(tmp_path / "backup", data, force=False)
        assert sender.client.get(COUNT).json()["applied_replies"] == 2
        sender.replies.remove("r5")  # acknowledged after the backup, and lost with the folder
        for send in (sender.send_reply, sender.send_facts, sender.send_span):
            assert send().is_success
        assert sender.client.get(COUNT).json()["applied_replies"] == 3
    check_kept(data, sender)


def test_nothing_is_acknowledged_into_a_log_that_was_removed_nor_lost_with_it(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    with running_server(data) as server:
        sender = Sender(server.client("acme"))
        assert sender.send_reply().is_success
        server.store.close()  # the service has its files alone now
        (data / "applyrate.db-wal").unlink()
        check_unavailable(sender.send_reply(), "applyrate.db", "applyrate.db-wal was removed")
        assert end_process(server.process) == 0
    check_kept(data, sender)


def page_of(file: Path, table: str) -> int:
    """The number, from 0, of the first page of a table."""
    with closing(sqlite3.connect(file)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (root,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,))
    return int(root[0]) - 1


def test_a_damaged_page_is_told_named_and_mended_by_a_restore(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with logging_server(data, tmp_path / "log") as server:
        sender = Sender(server.client("acme"))
        assert sender.send_reply().is_success
        assert sender.send_span().is_success
        back_up(data, tmp_path / "backup")
        for file, table in (("applyrate.db", "usage_day"), ("inbox.db", "trace")):
            page = page_of(data / file, table)
            faults.overwrite_pages(data / file, range(page, page + 1))
        server.store.revoke_key("acme", "none", AT)  # another process writes: cached pages are old

        for send, file in (
            (sender.send_reply, "applyrate.db"),
            (sender.send_span, "inbox.db"),
        ):
            check_unavailable(failure_of(send), file, "it is damaged")
        assert sender.client.get("/health/live").status_code == 200
        told = commands.run("check", "--data", data)
        assert told.exit_code == 1
        assert "the file is damaged" in told.stdout
        assert "inbox.db: the file is damaged" in told.stdout
    commands.answer("restore", tmp_path / "backup", "--data", data, "--force")
    with logging_server(data, tmp_path / "log") as server:
        sender.client = server.client("acme")
        assert sender.send_reply().is_success
        assert sender.send_span().is_success
    check_kept(data, sender)
    log = (tmp_path / "log").read_text()
    assert 'file=applyrate.db doing=written problem="it is damaged' in log.replace("'", '"')
