"""A backup holds all that was acknowledged before it, whatever goes on, and comes back whole."""

import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from applyrate.backups import back_up, check_files, restore
from applyrate.errors import InvalidInput, NotFound
from applyrate.folders import FolderInUse
from applyrate.intake.inbox import Inbox, SpanBatch
from applyrate.store import open_store
from applyrate.store.sqlite.database import STORE_MIGRATIONS, Database
from applyrate.store.sqlite.migrations import WrittenByNewer
from applyrate.usage import Applied, Recording, Reply, ResourceType, Window
from tests import commands
from tests.observed import agent
from tests.servers import running_server

AT = datetime(2026, 3, 1, 10, tzinfo=UTC)


def fill(data: Path, *reply_ids: str) -> None:
    """Record replies, and keep a span of each in the inbox."""
    replies = [Reply(one, "s", AT, applied=Applied(action=["look"])) for one in reply_ids]
    with closing(open_store(data)) as store:
        store.record([Recording("acme", replies)])
    spans = [agent(one[:8], trace_id=f"{number:032x}") for number, one in enumerate(reply_ids)]
    with closing(Inbox(data / "inbox.db", max_spans=100_000)) as inbox:
        inbox.add([SpanBatch("acme", spans)])


def reply_ids(data: Path) -> set[str]:
    with closing(open_store(data)) as store:
        return {usage.reply_id for usage in store.usages("acme", Window())}


def span_count(data: Path) -> int:
    with closing(sqlite3.connect(data / "inbox.db")) as db:
        (count,) = db.execute("SELECT count(*) FROM span").fetchone()
    return int(count)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def data(tmp_path: Path) -> Path:
    fill(tmp_path / "data", "r1", "r2")
    return tmp_path / "data"


def test_a_backup_comes_back_as_it_was(data: Path, tmp_path: Path) -> None:
    copied = back_up(data, tmp_path / "backups" / "one")
    fill(data, "r3")
    assert names(tmp_path / "backups" / "one") == ["applyrate.db", "inbox.db"]
    back = tmp_path / "back"
    assert restore(Path(copied.folder), back, force=False).set_aside is None
    assert (reply_ids(back), span_count(back)) == ({"r1", "r2"}, 2)
    assert list(check_files(back)) == []
    assert names(back) == ["applyrate.db", "inbox.db"]


def test_a_backup_is_a_data_folder_itself(data: Path, tmp_path: Path) -> None:
    back_up(data, tmp_path / "backup")
    told = commands.answer("check", "--data", tmp_path / "backup")
    assert (told["organizations"], told["faults"]) == (1, [])


def test_a_backup_while_the_service_records_has_all_that_was_acknowledged_before_it(
    tmp_path: Path,
) -> None:
    acknowledged: list[str] = []
    ended = threading.Event()

    def record(url: str, key: str, name: str) -> None:
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}) as client:
            for number in range(100_000):
                reply_id = f"{name}-{number}"
                reply = {"reply_id": reply_id, "session_id": "s", "replied_at": AT.isoformat()}
                used = {"applied": {"action": ["look"]}}
                assert client.post("/replies", json=reply | used).status_code == 200
                acknowledged.append(reply_id)
                if ended.is_set():
                    return

    with running_server(tmp_path / "data") as server:
        key = server.new_key("acme")
        threads = [threading.Thread(target=record, args=(server.url, key, name)) for name in "abcd"]
        for thread in threads:
            thread.start()
        try:
            for number in range(3):
                before = set(acknowledged)
                done = commands.run_process(
                    *("backup", tmp_path / f"backup{number}", "--data", tmp_path / "data")
                )
                assert done.returncode == 0, done.stderr
                copied = reply_ids(tmp_path / f"backup{number}")
                assert before <= copied
                assert list(check_files(tmp_path / f"backup{number}")) == []
        finally:
            ended.set()
            for thread in threads:
                thread.join()
        assert len(acknowledged) > len(copied) > len(before) > 0


def test_spans_that_wait_for_their_trace_are_in_the_backup_and_become_its_reply(
    tmp_path: Path,
) -> None:
    def send(client: httpx.Client, span_id: str, **more: Any) -> None:
        span = {
            "traceId": "5b8efff798038103d269b633813fc60c",
            "spanId": span_id,
            "name": "invoke_agent",
            "startTimeUnixNano": "1772359200000000000",
            "endTimeUnixNano": "1772359201000000000",
            "attributes": [
                {"key": name, "value": {"stringValue": value}}
                for name, value in {
                    "gen_ai.operation.name": "execute_tool",
                    "gen_ai.tool.name": "look",
                    "gen_ai.conversation.id": "conv",
                }.items()
            ],
        }
        body = {"resourceSpans": [{"scopeSpans": [{"spans": [span | more]}]}]}
        assert client.post("/v1/traces", json=body).status_code == 200

    with running_server(tmp_path / "data", trace_quiet_seconds=3600) as server:
        send(server.client("acme"), "00000000000000b1", parentSpanId="00000000000000a1")
        back_up(tmp_path / "data", tmp_path / "backup")
    assert reply_ids(tmp_path / "backup") == set()
    restore(tmp_path / "backup", tmp_path / "back", force=False)
    with running_server(tmp_path / "back", trace_quiet_seconds=0) as server:
        summary = server.client("acme").get
        for _ in range(300):
            told = summary("/resource-usage/action/look/usage-summary").json()
            if told["applied_replies"]:
                break
            threading.Event().wait(0.1)
    assert told["applied_replies"] == 1


KILLED = """
import os, signal, sys
from pathlib import Path
from applyrate import backups

left = int(sys.argv[1])

def count_down(*_):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)

def counting_down(method):
    def call(*arguments, **more):
        count_down()
        return method(*arguments, **more)
    return call

for name in ("replace", "rename", "mkdir"):
    setattr(Path, name, counting_down(getattr(Path, name)))
source, target = map(Path, sys.argv[3:5])
if sys.argv[2] == "backup":
    backups.back_up(source, target, count_down)
else:
    backups.restore(source, target, force=True, show=count_down)
"""


def killed_everywhere(what: str, source: Path, target: Path) -> Iterator[int]:
    """Do it again and again, killed a step later each time, up to the time when it is done."""
    for steps in range(100):
        script = [sys.executable, "-c", KILLED, str(steps), what, str(source), str(target)]
        done = subprocess.run(script, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return
        assert done.returncode == -signal.SIGKILL, done.stderr
        yield steps
    raise AssertionError("it was never done")


def test_a_backup_that_is_killed_leaves_none_and_is_done_by_the_next_try(
    data: Path, tmp_path: Path
) -> None:
    target = tmp_path / "backups" / "one"
    killed = []
    for steps in killed_everywhere("backup", data, target):
        killed.append(steps)
        assert not target.exists()
    assert len(killed) > 3
    assert names(tmp_path / "backups") == ["one"]
    assert reply_ids(target) == {"r1", "r2"}


def test_a_restore_that_is_killed_loses_nothing_and_is_done_by_the_next_try(
    data: Path, tmp_path: Path
) -> None:
    back_up(data, tmp_path / "backup")
    fill(data, "r3")
    for _ in killed_everywhere("restore", tmp_path / "backup", data):
        files = [file for file in data.rglob("applyrate.db") if file.parent.name != ".restoring"]
        kept = tmp_path / "kept"
        whole = []
        for file in files:  # a copy, since looking into a data folder may change it
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(file.parent, kept)
            whole.append(reply_ids(kept))
        assert {"r1", "r2", "r3"} in whole
    assert reply_ids(data) == {"r1", "r2"}
    assert list(check_files(data)) == []
    assert ".restoring" not in names(data)


def test_a_restore_moves_what_was_there_aside_and_only_when_told_so(
    data: Path, tmp_path: Path
) -> None:
    back_up(data, tmp_path / "backup")
    fill(data, "r3")
    refused = commands.run("restore", tmp_path / "backup", "--data", data)
    assert refused.exit_code == 2
    assert "--force moves it aside" in refused.stderr
    assert reply_ids(data) == {"r1", "r2", "r3"}

    told = commands.answer("restore", tmp_path / "backup", "--data", data, "--force")
    assert reply_ids(data) == {"r1", "r2"}
    aside = Path(told["set_aside"])
    assert aside.parent == data
    assert (reply_ids(aside), span_count(aside)) == ({"r1", "r2", "r3"}, 3)


def test_nothing_is_restored_under_a_running_service(data: Path, tmp_path: Path) -> None:
    back_up(data, tmp_path / "backup")
    with running_server(data) as server:
        client = server.client("acme")
        for _ in range(2):
            refused = commands.run("restore", tmp_path / "backup", "--data", data, "--force")
            assert refused.exit_code == 1
            assert "is in use; stop the service" in refused.stderr
        assert client.get("/resource-usage/action/look/usage-summary").status_code == 200
    assert names(data) == ["applyrate.db", "inbox.db"]
    restore(tmp_path / "backup", data, force=True)


def test_nothing_is_opened_while_a_backup_is_restored(data: Path, tmp_path: Path) -> None:
    back_up(data, tmp_path / "backup")
    said: list[str] = []

    def look(_done: int, _total: int) -> None:
        said.append(commands.run("check", "--data", data).stderr)

    restore(tmp_path / "backup", data, force=True, show=look)
    assert "a backup is being restored into data" in said[0]


def damage(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[8_192 * 2 : 8_192 * 3] = b"\xff" * 8_192
    file.write_bytes(content)


@pytest.mark.parametrize("name", ["applyrate.db", "inbox.db"])
def test_a_damaged_backup_is_not_restored(data: Path, tmp_path: Path, name: str) -> None:
    back_up(data, tmp_path / "backup")
    damage(tmp_path / "backup" / name)
    refused = commands.run("restore", tmp_path / "backup", "--data", data, "--force")
    assert refused.exit_code == 1
    assert "damaged" in refused.stderr or "malformed" in refused.stderr
    assert reply_ids(data) == {"r1", "r2"}
    assert names(data) == ["applyrate.db", "inbox.db"]


@pytest.mark.parametrize("name", ["applyrate.db", "inbox.db"])
def test_damaged_data_is_told_instead_of_backed_up(data: Path, tmp_path: Path, name: str) -> None:
    damage(data / name)
    refused = commands.run("backup", tmp_path / "backup", "--data", data)
    assert refused.exit_code == 1
    assert "damaged" in refused.stderr or "malformed" in refused.stderr
    assert names(tmp_path) == ["data"]


def test_a_backup_never_replaces_anything(data: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    back_up(data, tmp_path / "mine")
    for taken in (tmp_path / "mine", data):
        refused = commands.run("backup", taken, "--data", data)
        assert refused.exit_code == 2
        assert "is there already" in refused.stderr


def test_what_is_no_backup_is_told_so(data: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no backup in"):
        restore(tmp_path, data, force=True)
    with pytest.raises(InvalidInput, match="is the data folder itself"):
        restore(data, data, force=True)
    with pytest.raises(NotFound, match="there is no data in"):
        back_up(tmp_path, tmp_path / "backup")


def test_a_backup_without_room_is_refused_before_it_begins(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 8, 1_000_000))  # noqa: SLF001
    with pytest.raises(InvalidInput, match=r"has room for 1.0 MB, and the copy needs 0\.\d MB"):
        back_up(data, tmp_path / "backup")
    assert names(tmp_path) == ["data"]


def of_the_first_version(data: Path) -> None:
    """A store as it was before its tables were changed the first time, with a reply in it."""
    first = data.parent / "migrations"
    first.mkdir()
    (first / "0001_usage.sql").write_bytes((STORE_MIGRATIONS / "0001_usage.sql").read_bytes())
    Database(data / "applyrate.db", first).close()
    with closing(sqlite3.connect(data / "applyrate.db")) as db:
        assert db.execute("SELECT number FROM migration").fetchall() == [(1,)]


def test_a_backup_of_an_older_version_is_restored_and_brought_up_to_date(tmp_path: Path) -> None:
    of_the_first_version(tmp_path / "old")
    restore(tmp_path / "old", tmp_path / "back", force=False)
    known = [int(file.name.split("_")[0]) for file in STORE_MIGRATIONS.iterdir()]
    with closing(sqlite3.connect(tmp_path / "back" / "applyrate.db")) as db:
        numbers = [number for (number,) in db.execute("SELECT number FROM migration")]
    assert sorted(numbers) == sorted(known)
    fill(tmp_path / "back", "r1")
    assert reply_ids(tmp_path / "back") == {"r1"}


def of_a_newer_version(data: Path) -> None:
    fill(data, "r1")
    with closing(sqlite3.connect(data / "applyrate.db")) as db, db:
        db.execute("INSERT INTO migration VALUES (9999, '9999_tomorrow.sql')")


@pytest.mark.parametrize(
    "use",
    [
        open_store,
        lambda data: restore(data, data.parent / "back", force=False),
    ],
    ids=["open", "restore"],
)
def test_what_a_newer_version_wrote_is_left_alone(
    tmp_path: Path, use: Callable[[Path], object]
) -> None:
    of_a_newer_version(tmp_path / "new")
    before = (tmp_path / "new" / "applyrate.db").read_bytes()
    with pytest.raises(WrittenByNewer, match=r"a newer version of Applyrate.*9999_tomorrow"):
        use(tmp_path / "new")
    assert (tmp_path / "new" / "applyrate.db").read_bytes() == before


def test_a_folder_is_free_again_once_its_process_is_killed(data: Path, tmp_path: Path) -> None:
    back_up(data, tmp_path / "backup")
    script = "import sys, time; from pathlib import Path; from applyrate.store import open_store;"
    script += "open_store(Path(sys.argv[1])); print(flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", script, data], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline()
        with pytest.raises(FolderInUse):
            restore(tmp_path / "backup", data, force=True)
    finally:
        process.kill()
        process.communicate()
    restore(tmp_path / "backup", data, force=True)
    with closing(open_store(data)) as store:
        counted = store.summary("acme", ResourceType.ACTION, "look", Window())
    assert counted.applied_replies == 2
