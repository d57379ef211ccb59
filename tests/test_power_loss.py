"""What was acknowledged is on the disk: a loss of power right after takes none of it away.

``pytest -s`` shows how much was acknowledged, and looked for afterwards.
"""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from applyrate.backups import check_files
from tests import commands
from tests.power import Outlet, install_outlet
from tests.servers import end_process, start_process
from tests.test_backups import fill, reply_ids, span_count
from tests.test_faults import Sender, check_kept

SECONDS = 2.0
ENOUGH = 20

FIRST_KEY = """
from applyrate.store import open_store
store = open_store(load_settings().data_path)
with open({key_file!r}, "w") as file:
    file.write(serving.make_first_key(store))
store.close()
{more}
"""

SLACK = """
from applyrate.store.sqlite import database
class Connection(database.sqlite3.Connection):
    def execute(self, sql, *more):
        return super().execute(sql.replace("synchronous = FULL", "synchronous = NORMAL"), *more)
connect = database.sqlite3.connect
database.sqlite3.connect = lambda *a, **k: connect(*a, **k, factory=Connection)
"""
"""Makes a store that does not wait for the disk, as most are by default."""


@pytest.fixture
def outlet(tmp_path: Path) -> Outlet:
    return install_outlet(tmp_path)


def run_until_the_power_fails(outlet: Outlet, folder: Path, more: str = "") -> Sender:
    """Send for a while from several clients, and cut; what was acknowledged until then."""
    key_file = folder.parent / "key"
    prelude = FIRST_KEY.format(key_file=str(key_file), more=more)
    with outlet.powering():
        process, url = start_process(folder / "disk" / "data", prelude=prelude)
    headers = {"Authorization": f"Bearer {key_file.read_text()}"}
    with httpx.Client(base_url=url, headers=headers, timeout=30) as client:
        sender = Sender(client)

        def send_on(send: Callable[[], httpx.Response]) -> None:
            with suppress(httpx.TransportError):
                while True:
                    assert send().is_success

        threads = [
            threading.Thread(target=send_on, args=(send,))
            for send in (sender.send_reply, sender.send_facts, sender.send_span)
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 60
        time.sleep(SECONDS)
        while min(map(len, sender.kept)) < ENOUGH and time.monotonic() < deadline:
            time.sleep(0.1)
        process.kill()
        for thread in threads:
            thread.join()
    end_process(process)
    assert min(map(len, sender.kept)) >= ENOUGH
    return sender


def test_a_loss_of_power_takes_nothing_that_was_acknowledged(
    outlet: Outlet, tmp_path: Path
) -> None:
    sender = run_until_the_power_fails(outlet, tmp_path)
    check_kept(outlet.restart(tmp_path / "restarted") / "data", sender, org="default")


def test_a_store_that_did_not_wait_for_the_disk_would_be_seen(
    outlet: Outlet, tmp_path: Path
) -> None:
    sender = run_until_the_power_fails(outlet, tmp_path, more=SLACK)
    with pytest.raises(AssertionError):
        check_kept(outlet.restart(tmp_path / "restarted") / "data", sender, org="default")


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_a_copy_that_is_done_outlives_a_loss_of_power(
    outlet: Outlet, tmp_path: Path, command: str
) -> None:
    fill(tmp_path / "data", "r1", "r2")
    target = tmp_path / "disk" / "a" / "copy"
    told = {
        "backup": ("backup", target, "--data", tmp_path / "data"),
        "restore": ("restore", tmp_path / "data", "--data", target),
    }
    with outlet.powering():
        done = subprocess.run([commands.PROGRAM, *told[command]], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    restarted = outlet.restart(tmp_path / "restarted") / "a" / "copy"
    left = {path.name for path in restarted.iterdir()} - {
        ".restoring"
    }  # which the next one removes
    assert left == {"applyrate.db", "inbox.db"}
    assert list(check_files(restarted)) == []
    assert (reply_ids(restarted), span_count(restarted)) == ({"r1", "r2"}, 2)


RECORDER = """
import sys, time
from applyrate import Recorder

recorder = Recorder("http://127.0.0.1:9", folder=sys.argv[1], delay_seconds=0)
for number in range(50):
    with recorder.reply(session_id="s", reply_id=f"r{number}") as reply:
        reply.applied(action="look")
recorder.flush(1)
print(flush=True)
time.sleep(60)
"""


def test_what_a_recorder_could_not_send_outlives_a_loss_of_power(
    outlet: Outlet, tmp_path: Path
) -> None:
    folder = tmp_path / "disk" / "a" / "folder"
    with outlet.powering():
        process = subprocess.Popen([sys.executable, "-c", RECORDER, folder], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline()
    process.kill()
    process.communicate()
    restarted = outlet.restart(tmp_path / "restarted") / "a" / "folder"
    lines = [
        line for segment in restarted.glob("*.ndjson") for line in segment.read_text().splitlines()
    ]
    assert len(lines) == 50
