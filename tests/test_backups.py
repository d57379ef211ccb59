"""A backup holds all that was acknowledged before it, whatever goes on, and comes back whole.

``pytest -s`` shows after how many steps each was killed.
"""

import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from applyrate.backups import back_up, check_files, restore
from applyrate.errors import InvalidInput, NotFound, Unavailable
from applyrate.folders import FolderInUse
from applyrate.intake.inbox import Inbox, Settlement, SpanBatch
from applyrate.intake.room import State
from applyrate.store import Store, open_store
from applyrate.store.sqlite.database import STORE_MIGRATIONS
from applyrate.store.sqlite.migrations import WrittenByNewer
from applyrate.usage import Applied, Recording, Reply, ResourceType, Window
from tests import commands
from tests.observed import agent
from tests.older import make_older
from tests.servers import running_server

ROOT = Path(__file__).parent.parent
AT = datetime(2026, 3, 1, 10, tzinfo=UTC)


def fill(data: Path, *reply_ids: str) -> None:
    """Record replies, and keep a span of each in the inbox."""
    with closing(open_store(data)) as store, closing(open_inbox(data)) as inbox:
        put(store, inbox, *reply_ids)


def put(store: Store, inbox: Inbox, *reply_ids: str) -> None:
    store.record([Recording("acme", replies(*reply_ids))])
    spans = [agent(one[:8], trace_id=f"{number:032x}") for number, one in enumerate(reply_ids)]
    inbox.add([SpanBatch("acme", spans)])


def replies(*reply_ids: str) -> list[Reply]:
    return [Reply(one, "s", AT, applied=Applied(action=["look"])) for one in reply_ids]


def open_inbox(data: Path) -> Inbox:
    return Inbox(data / "inbox.db", max_spans=100_000)


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


def killed_after(steps: int, what: str, source: Path, target: Path) -> bool:
    """Do it, killed after so many steps; whether it was done before."""
    script = [sys.executable, "-c", KILLED, str(steps), what, str(source), str(target)]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode == 0


def test_a_backup_that_is_killed_leaves_none_and_is_done_by_the_next_try(
    data: Path, tmp_path: Path
) -> None:
    target = tmp_path / "backups" / "one"
    steps = 0
    while not killed_after(steps, "backup", data, target):
        assert not target.exists()
        steps += 1
    assert steps > 3
    print(f"\na backup, killed after each of {steps} steps")
    assert names(tmp_path / "backups") == ["one"]
    assert reply_ids(target) == {"r1", "r2"}


PUT_AND_KILLED = """
import os, signal, sys
from pathlib import Path
from applyrate.store import open_store
from tests.test_backups import open_inbox, put

data = Path(sys.argv[1])
put(open_store(data), open_inbox(data), "r3")
os.kill(os.getpid(), signal.SIGKILL)  # what it has put is in the write-ahead logs alone
"""


def test_a_restore_that_is_killed_loses_nothing_and_is_done_by_the_next_try(
    data: Path, tmp_path: Path
) -> None:
    back_up(data, tmp_path / "backup")
    subprocess.run([sys.executable, "-c", PUT_AND_KILLED, data], cwd=ROOT, check=False)
    assert (data / "applyrate.db-wal").stat().st_size > 0
    refusals = steps = 0
    is_done = False
    while not is_done:
        killed = tmp_path / f"killed{steps}"
        shutil.copytree(data, killed)
        is_done = killed_after(steps, "restore", tmp_path / "backup", killed)
        is_begun = any(name.startswith((".moving", ".moved")) for name in names(killed))
        if is_begun:
            refusals += 1
            with pytest.raises(Unavailable, match="was broken off; run it again, with --force"):
                open_store(killed)
            restore(tmp_path / "backup", killed, force=True)
        elif not is_done:
            assert (reply_ids(killed), span_count(killed)) == ({"r1", "r2", "r3"}, 3)
        if is_begun or is_done:
            assert reply_ids(killed) == {"r1", "r2"}
            assert list(check_files(killed)) == []
            (aside,) = killed.glob("before-restore-*")
            assert (reply_ids(aside), span_count(aside)) == ({"r1", "r2", "r3"}, 3)
            assert ".restoring" not in names(killed)
        steps += 1
    assert refusals > 6
    print(f"\na restore, killed after each of {steps - 1} steps")


def test_a_restore_into_a_new_folder_that_is_killed_leaves_no_half(
    data: Path, tmp_path: Path
) -> None:
    back_up(data, tmp_path / "backup")
    target, steps = tmp_path / "new", 0
    while not killed_after(steps, "restore", tmp_path / "backup", target):
        with suppress(Unavailable):
            assert reply_ids(target) == set()
        shutil.rmtree(target, ignore_errors=True)
        steps += 1
    assert steps > 6
    print(f"\na restore into a new folder, killed after each of {steps} steps")
    assert names(target) == ["applyrate.db", "inbox.db"]


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


def test_nothing_is_restored_while_a_backup_is_made(data: Path, tmp_path: Path) -> None:
    back_up(data, tmp_path / "one")

    def restore_meanwhile(_done: int, _total: int) -> None:
        with pytest.raises(FolderInUse):
            restore(tmp_path / "one", data, force=True)

    back_up(data, tmp_path / "two", restore_meanwhile)


def test_a_trace_that_becomes_a_reply_during_a_backup_is_one_after_a_restore(
    data: Path, tmp_path: Path
) -> None:
    with closing(open_store(data)) as store, closing(open_inbox(data)) as inbox:

        def derive_meanwhile(_done: int, _total: int) -> None:
            if traces := inbox.due(0, max_spans=10):
                store.record([Recording("acme", replies("derived"))])
                inbox.settle([Settlement(trace, State.DERIVED, {}) for trace in traces])

        assert inbox.due(0, max_spans=10)
        back_up(data, tmp_path / "backup", derive_meanwhile)
        assert inbox.due(0, max_spans=10) == []
    with closing(open_inbox(tmp_path / "backup")) as copied:
        waits = bool(copied.due(0, max_spans=10))
    assert waits or "derived" in reply_ids(tmp_path / "backup")


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


def test_a_backup_of_an_older_version_is_restored_and_brought_up_to_date(tmp_path: Path) -> None:
    make_older(tmp_path / "old", "acme", replies("r1"))
    restore(tmp_path / "old", tmp_path / "back", force=False)
    known = [int(file.name.split("_")[0]) for file in STORE_MIGRATIONS.iterdir()]
    with closing(sqlite3.connect(tmp_path / "back" / "applyrate.db")) as db:
        numbers = [number for (number,) in db.execute("SELECT number FROM migration")]
    assert sorted(numbers) == sorted(known)
    fill(tmp_path / "back", "r2")
    assert reply_ids(tmp_path / "back") == {"r1", "r2"}


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
