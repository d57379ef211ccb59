"""What a process told the recorder outlives its end, its fork and, in a folder, its death."""

import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from applyrate import Recorder
from applyrate.client.folder import SEGMENT_BYTES, FolderBacklog
from applyrate.usage import Applied, Reply
from tests.scripted_service import Answer, error, scripted_service
from tests.servers import Server

AT = datetime(2026, 3, 1, 10, tzinfo=UTC)
PATIENT = 60
NOWHERE = "http://127.0.0.1:9"

PROLOGUE = """
import multiprocessing, os, sys, time
from applyrate import Recorder

url, folder = sys.argv[1], sys.argv[2] or None
recorder = Recorder(url, folder=folder, delay_seconds=60)

def tell(*names):
    for name in names:
        with recorder.reply(session_id="conv_1", reply_id=name) as reply:
            reply.applied(action="look")
"""


def arguments(script: str, url: str, folder: Path | None) -> list[str]:
    return [sys.executable, "-c", PROLOGUE + textwrap.dedent(script), url, str(folder or "")]


def run(script: str, url: str, folder: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """A process of its own with a ``recorder``, to its end."""
    return subprocess.run(
        arguments(script, url, folder), capture_output=True, text=True, timeout=PATIENT, check=False
    )


@contextmanager
def running(script: str, url: str, folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """The same, once it has printed a line, killed (SIGKILL) at the end."""
    process = subprocess.Popen(arguments(script, url, folder), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


def record(recorder: Recorder, names: Sequence[str]) -> None:
    for name in names:
        recorder.record(Reply(name, "conv_1", AT, applied=Applied(action=["look"])))


def send_what_is_left(folder: Path) -> list[str]:
    """The ids of the replies that a recorder finds in a folder and sends."""
    with scripted_service() as service:
        with Recorder(service.url, folder=folder) as recorder:
            assert recorder.flush(PATIENT)
        return service.reply_ids


def test_what_is_left_at_the_end_of_the_process_is_sent() -> None:
    with scripted_service(error(503, retry_after="0")) as service:
        assert run("tell('r1', 'r2')", service.url).returncode == 0
        assert set(service.reply_ids) == {"r1", "r2"}


def test_the_end_of_the_process_waits_no_longer_than_a_few_seconds() -> None:
    with scripted_service(*[error(503, retry_after="60")] * 9) as service:
        script = "from applyrate.client import processes; processes.EXIT_SECONDS = 0.3; tell('r')"
        done = run(script, service.url)
        assert done.returncode == 0
        assert "1 replies were dropped; the last: the recorder was closed before" in done.stderr


def test_an_agent_that_fails_loses_nothing() -> None:
    with scripted_service() as service:
        done = run("tell('r1')\nraise SystemError('the agent failed')", service.url)
        assert (done.returncode, "SystemError: the agent failed" in done.stderr) == (1, True)
        assert service.reply_ids == ["r1"]


@pytest.mark.parametrize("in_folder", [False, True], ids=["memory", "folder"])
def test_a_forked_child_sends_its_own_and_the_parent_the_rest(
    tmp_path: Path, *, in_folder: bool
) -> None:
    script = """
        tell("before")
        child = os.fork()
        tell(f"{'parent' if child else 'child'}")
        if not child:
            assert recorder.flush(30)
            assert recorder.dropped_count == 0
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        tell("after")
        assert recorder.close(30)
    """
    with scripted_service() as service:
        done = run(script, service.url, tmp_path if in_folder else None)
        assert (done.returncode, done.stderr) == (0, "")
        assert sorted(service.reply_ids) == ["after", "before", "child", "parent"]
    assert send_what_is_left(tmp_path) == []


def test_a_fork_while_threads_record_hangs_nobody() -> None:
    script = """
        import threading
        ended = threading.Event()
        def work(name):
            while not ended.is_set():
                tell(name)
        threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
        for thread in threads:
            thread.start()
        for number in range(4):
            child = os.fork()
            if not child:
                tell(f"child {number}")
                os._exit(0 if recorder.flush(30) else 1)
            assert os.waitpid(child, 0)[1] == 0
        ended.set()
        for thread in threads:
            thread.join()
        assert recorder.close(30)
    """
    with scripted_service() as service:
        done = run(script, service.url)
        assert done.returncode == 0, done.stderr
        assert {f"child {number}" for number in range(4)} < set(service.reply_ids)


def test_a_fork_in_the_worst_moment_hangs_nobody() -> None:
    script = """
        import threading
        held, ended = threading.Event(), threading.Event()
        def hold():
            with recorder._delivery._changed:
                held.set()
                ended.wait()
        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()
        child = os.fork()
        if not child:
            tell("child")
            os._exit(0 if recorder.flush(10) else 1)
        status = os.waitpid(child, 0)[1]
        ended.set()
        thread.join()
        assert status == 0
    """
    with scripted_service() as service:
        done = run(script, service.url)
        assert (done.returncode, done.stderr) == (0, "")
        assert service.reply_ids == ["child"]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_child_of_multiprocessing_sends_what_is_left_at_its_end(
    tmp_path: Path, method: str
) -> None:
    script = tmp_path / "program.py"
    body = f"""
if __name__ == "__main__":
    tell("parent")
    child = multiprocessing.get_context("{method}").Process(target=tell, args=("child",))
    child.start()
    child.join()
    assert child.exitcode == 0
"""
    script.write_text(PROLOGUE + body)
    with scripted_service() as service:
        done = subprocess.run(
            [sys.executable, script, service.url, ""], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert sorted(service.reply_ids) == ["child", "parent"]


def test_a_folder_keeps_what_a_killed_process_could_not_send(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    script = "tell('r1', 'r2'); recorder.flush(0.1); tell('r3'); print('told', flush=True)\n"
    with running(f"{script}time.sleep(60)", NOWHERE, folder):
        assert send_what_is_left(folder) == []
    assert send_what_is_left(folder) == ["r1", "r2", "r3"]
    assert list(folder.iterdir()) == []


def test_a_folder_keeps_what_was_not_sent_by_the_end(tmp_path: Path) -> None:
    with Recorder(NOWHERE, folder=tmp_path) as recorder:
        record(recorder, ["r1", "r2"])
        assert not recorder.flush(0.1)
        assert not recorder.close(0.1)
        assert recorder.dropped_count == 0
    assert send_what_is_left(tmp_path) == ["r1", "r2"]


def test_processes_may_share_a_folder(tmp_path: Path) -> None:
    script = "tell(str(os.getpid())); print('told', flush=True); time.sleep(60)"
    with running(script, NOWHERE, tmp_path) as first:
        with running(script, NOWHERE, tmp_path) as second:
            assert send_what_is_left(tmp_path) == []
        assert send_what_is_left(tmp_path) == [str(second.pid)]
    assert send_what_is_left(tmp_path) == [str(first.pid)]


def test_recorders_of_one_process_may_share_a_folder(tmp_path: Path) -> None:
    with (
        scripted_service() as service,
        Recorder(NOWHERE, folder=tmp_path) as first,
        Recorder(service.url, folder=tmp_path) as second,
    ):
        record(first, ["r1"])
        record(second, ["r2"])
        assert second.flush(PATIENT)
        assert service.reply_ids == ["r2"]
        first.close(0)
    assert send_what_is_left(tmp_path) == ["r1"]


def test_a_reply_that_was_only_written_in_part_is_cut_off(tmp_path: Path) -> None:
    whole = b'{"reply_id":"r1","session_id":"s","replied_at":"2026-03-01T10:00:00Z"}\n'
    (tmp_path / "1.ndjson").write_bytes(whole + whole[:30])
    (tmp_path / "2.ndjson").write_bytes(whole[:30])
    (tmp_path / "3.ndjson").write_bytes(b"")
    (tmp_path / "notes.txt").write_bytes(b"mine")
    assert send_what_is_left(tmp_path) == ["r1"]
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


def test_a_file_that_is_none_of_ours_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "1.ndjson").write_bytes(b"x" * SEGMENT_BYTES + b"\nx\n")
    assert send_what_is_left(tmp_path) == []
    assert (tmp_path / "1.ndjson").stat().st_size == SEGMENT_BYTES + 3


def test_many_replies_are_sent_from_a_folder_each_once_and_in_order(tmp_path: Path) -> None:
    names = [f"r{number}" for number in range(2500)]
    with Recorder(NOWHERE, folder=tmp_path) as recorder:
        record(recorder, names)
        recorder.close(0)
    assert send_what_is_left(tmp_path) == names


def test_segments_are_deleted_as_they_are_sent(tmp_path: Path) -> None:
    backlog = FolderBacklog.open(tmp_path, 10 * SEGMENT_BYTES)
    line = b"x" * (SEGMENT_BYTES // 4 - 1)
    for _ in range(10):
        assert backlog.add(line)
    assert len(list(tmp_path.iterdir())) == 3
    while lines := backlog.first(SEGMENT_BYTES):
        assert set(lines) == {line}
        backlog.remove(lines)
    (live,) = tmp_path.iterdir()
    assert live.stat().st_size == 0
    assert backlog.leave() == 0
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_full_takes_no_more(tmp_path: Path) -> None:
    with Recorder(NOWHERE, folder=tmp_path, max_folder_bytes=10_000) as recorder:
        record(recorder, [f"r{number}" for number in range(200)])
        recorder.close(0)
        dropped_count = recorder.dropped_count
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 10_000
    assert 0 < len(send_what_is_left(tmp_path)) == 200 - dropped_count


def test_a_folder_that_is_gone_costs_the_reply_and_never_the_agent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "folder"
    with Recorder(NOWHERE, folder=folder) as recorder:
        folder.rmdir()
        record(recorder, ["r1"])
        assert recorder.dropped_count == 1
        assert "1 replies were dropped; the last: the folder does not take it" in caplog.text


def test_a_folder_that_cannot_be_made_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        Recorder(NOWHERE, folder=tmp_path / "file" / "folder")


def test_what_a_folder_keeps_is_for_its_owner_alone(tmp_path: Path) -> None:
    with Recorder(NOWHERE, folder=tmp_path) as recorder:
        record(recorder, ["r1"])
        (segment,) = tmp_path.iterdir()
        assert segment.stat().st_mode & 0o077 == 0
        recorder.close(0)


def test_what_was_sent_from_a_folder_is_counted_once(server: Server, tmp_path: Path) -> None:
    """Also where the service recorded it and the answer was lost."""
    key = server.new_key(server.new_org())
    with (
        scripted_service(Answer(delay_seconds=3)) as service,
        Recorder(service.url, folder=tmp_path, timeout_seconds=0.1) as recorder,
    ):
        record(recorder, ["r1", "r2"])
        assert not recorder.flush(0.2)
        recorder.close(0)
    with Recorder(server.url, key) as recorder:
        record(recorder, ["r1", "r2"])
        assert recorder.flush(PATIENT)
    with Recorder(server.url, key, folder=tmp_path) as recorder:
        assert recorder.flush(PATIENT)
    client = server.client(key=key)
    told = client.get("/resource-usage/action/look/usage-summary").json()
    assert told["applied_replies"] == 2
