"""The examples of the documentation, typed into a terminal beside a service as a reader would.

A fenced block of ``console`` is a session: what follows ``$`` is typed, and what follows that is
what the reader sees. ``...`` stands for anything. White space is not compared, since the page wraps
long answers.
"""

import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.servers import end_process
from tests.sessions import split_session

PAGE_URL = "http://127.0.0.1:8600"
"""The address that the pages name; the service of an example has another."""

START_SECONDS = 30
COMMAND_SECONDS = 60

_DONE = "\x04done"


class Terminal:
    """A shell in the reader's folder, which lasts for all sessions of a page."""

    def __init__(self, shell: subprocess.Popen[bytes], url: str) -> None:
        self._shell = shell
        self._url = url

    def evaluate(self, session: str) -> str | None:
        """Run a session; what is not as the page shows it, None where all of it is."""
        for command, shown in split_session(session):
            output, status = self.run(command)
            if not shown.strip() and status:
                return f"$ {command}\nended with status {status} and said\n{output}"
            if not matches(shown, output):
                return f"$ {command}\nshould say\n{shown}\nand says\n{output}"
        return None

    def run(self, command: str) -> tuple[str, int]:
        """What a command writes to its terminal, and its exit status."""
        assert self._shell.stdin is not None
        typed = command.replace(PAGE_URL, self._url)
        line = f"{{\n{typed}\n}} </dev/null 2>&1; printf '{_DONE} %d\\n' $?\n"
        self._shell.stdin.write(line.encode())
        self._shell.stdin.flush()
        output, _, status = self._read_until_done().rpartition(_DONE)
        return output.replace(self._url, PAGE_URL), int(status)

    def _read_until_done(self) -> str:
        assert self._shell.stdout is not None
        read, deadline = b"", time.monotonic() + COMMAND_SECONDS
        while not (_DONE.encode() in read and read.endswith(b"\n")):
            ready, _, _ = select.select([self._shell.stdout], [], [], deadline - time.monotonic())
            piece = os.read(self._shell.stdout.fileno(), 65_536) if ready else b""
            if not piece:
                raise TimeoutError(f"the command did not end; it said {read.decode()}")
            read += piece
        return read.decode()


def matches(shown: str, output: str) -> bool:
    """Whether an output is what the page shows, where ``...`` is anything."""
    parts = "".join(shown.split()).split("...")
    pattern = ".*".join(map(re.escape, parts))
    return re.fullmatch(pattern, "".join(output.split()), re.DOTALL) is not None


@contextmanager
def reader_terminal(folder: Path, settings: Mapping[str, str]) -> Iterator[Terminal]:
    """A terminal in a folder that a freshly started service has its data in; ``$KEY`` opens it."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environ = {"PATH": path, "HOME": str(folder), "COLUMNS": "80", "LANG": "C.UTF-8", **settings}
    log = folder / "serve.log"
    with log.open("wb") as said:
        service = subprocess.Popen(
            ["applyrate", "serve", "--port", "0"],
            cwd=folder,
            env={**environ, "PYTHONUNBUFFERED": "1"},
            stdout=said,
            stderr=said,
        )
    shell = None
    try:
        key, url = _read_announcement(service, log)
        shell = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            cwd=folder,
            env={**environ, "KEY": key},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        yield Terminal(shell, url)
    finally:
        if shell is not None and shell.stdin is not None:
            shell.stdin.close()
            end_process(shell)
        status = end_process(service)
    assert status == 0, log.read_text()


def _read_announcement(service: "subprocess.Popen[bytes]", log: Path) -> tuple[str, str]:
    """The first key and the address, once the service has printed both."""
    deadline = time.monotonic() + START_SECONDS
    while service.poll() is None and time.monotonic() < deadline:
        said = log.read_text()
        if "Serving" in said and (url := re.search(r"http://\S+(?= )", said)):
            key = re.search(r"apr_live_\w+", said)
            assert key, f"the first start shows no key: {said}"
            return key[0], url[0]
        time.sleep(0.02)
    raise TimeoutError(f"the service did not start; it said {log.read_text()}")
