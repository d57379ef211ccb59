"""A data folder of an older version opens with all that is in it, whatever ends the first try.

``pytest -s`` shows after how many steps it was killed.
"""

import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from applyrate.backups import check_files
from applyrate.store import open_store
from applyrate.store.sqlite.database import STORE_MIGRATIONS, Database
from applyrate.usage import Applied, Reply, Window
from tests.dashboard import reading
from tests.older import FIRST, STATUS, make_older
from tests.servers import running_server

AT = datetime(2026, 3, 1, 10, tzinfo=UTC)
COUNT = 30


def older_replies() -> list[Reply]:
    return [
        Reply(f"r{number}", f"s{number % 7}", AT, applied=Applied(action=["look"]))
        for number in range(COUNT)
    ]


def check_older(data: Path) -> None:
    """All that was in the older folder is there, and no check finds a fault."""
    with closing(open_store(data)) as store:
        assert {usage.reply_id for usage in store.usages("acme", Window())} == {
            reply.reply_id for reply in older_replies()
        }
        for reply in older_replies():
            conversation = store.conversation("acme", reply.session_id)
            assert conversation is not None
            assert conversation.status == STATUS
        assert store.foreign_migrations() == []
    assert list(check_files(data)) == []


def migrations_of(data: Path) -> set[str]:
    with closing(sqlite3.connect(data / "applyrate.db")) as db:
        return {name for (name,) in db.execute("SELECT name FROM migration")}


def test_a_service_goes_on_with_what_an_older_version_left(tmp_path: Path) -> None:
    key = make_older(tmp_path / "data", "acme", older_replies())
    with running_server(tmp_path / "data", trace_quiet_seconds=0) as server:
        client = server.client(key=key)
        told = client.get("/resource-usage/action/look/usage-summary").json()
        assert (told["applied_replies"], told["session_count"]) == (COUNT, 7)
        assert client.get("/conversations/s3/usage").json()["status"] == STATUS
        again = {"reply_id": "r1", "session_id": "s1", "replied_at": AT.isoformat()}
        assert client.post("/replies", json=again).json()["duplicates"] == 1
        # What later versions brought works on it: here, sessions of the dashboard.
        with reading(server, key):
            pass
    check_older(tmp_path / "data")


KILLED = """
import os, signal, sqlite3, sys
from pathlib import Path
from applyrate.store import open_store
from applyrate.store.sqlite import database

left = int(sys.argv[1])

class Connection(sqlite3.Connection):
    def execute(self, *what):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().execute(*what)

connect = sqlite3.connect
database.sqlite3.connect = lambda *a, **more: connect(*a, **more, factory=Connection)
open_store(Path(sys.argv[2])).close()
"""


def test_a_change_of_the_tables_that_is_killed_is_done_wholly_or_not_at_all(
    tmp_path: Path,
) -> None:
    make_older(tmp_path / "old", "acme", older_replies())
    every = {file.name for file in STORE_MIGRATIONS.iterdir()}
    found, steps, status = list[bool](), 0, -signal.SIGKILL
    while status:
        data = tmp_path / f"killed{steps}"
        shutil.copytree(tmp_path / "old", data)
        script = [sys.executable, "-c", KILLED, str(steps), str(data)]
        status = subprocess.run(script, check=False).returncode
        assert status in (0, -signal.SIGKILL)
        migrations = migrations_of(data)
        assert migrations in ({FIRST}, every)
        found.append(migrations == every)
        check_older(data)
        steps += 1
    assert sorted(found) == found
    assert found.count(False) > 10
    print(f"\nkilled after each of {steps - 1} steps")


def test_a_change_of_the_tables_that_fails_leaves_them_as_they_were(tmp_path: Path) -> None:
    make_older(tmp_path / "data", "acme", older_replies())
    broken = tmp_path / "migrations"
    shutil.copytree(str(STORE_MIGRATIONS), broken)
    (broken / "9999_broken.sql").write_text(
        "DELETE FROM usage_day;\nDELETE FROM reply;\nINSERT INTO nowhere VALUES (1);\n"
    )
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        Database(tmp_path / "data" / "applyrate.db", broken)
    assert migrations_of(tmp_path / "data") == {FIRST}
    check_older(tmp_path / "data")
