"""Following a page as its reader does: the program in a folder, a terminal beside a service."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from applyrate.cli.options import DEFAULT_ORG
from tests.examples import Terminal
from tests.frameworks.counts import Counts, await_counts
from tests.frameworks.npm import node_modules
from tests.frameworks.pages import INDEX, Page
from tests.frameworks.trace_picture import draw_traces
from tests.frameworks.wire import Wire, tapped
from tests.servers import end_process, running_server

DATA = "applyrate-data"


@dataclass(frozen=True)
class Reader:
    """Somebody who has the page's program, the environment of the index, and a fresh service."""

    terminal: Terminal
    wire: Wire
    client: httpx.Client

    def type(self, *sessions: str) -> None:
        """Type sessions; they must show what the page shows."""
        for session in sessions:
            assert (fault := self.terminal.evaluate(session)) is None, fault


@dataclass(frozen=True)
class Followed:
    """What came of a page's program: what arrived, drawn, and what was counted."""

    arrived: str
    counts: Counts


def follow(page: Page, folder: Path) -> Followed:
    """Run a page's program as the page says."""
    with reading(page, folder) as reader:
        reader.type(*page.sessions("The agent"))
        return Followed(
            counts=await_counts(reader.client), arrived=draw_traces(reader.wire.exports())
        )


@contextmanager
def reading(page: Page, folder: Path, environment: str | None = None) -> Iterator[Reader]:
    """A reader of a page, in an empty folder; ``environment`` may replace the index's session."""
    (folder / page.program_name).write_text(page.program, encoding="utf-8")
    if page.language == "js":
        (folder / "node_modules").symlink_to(node_modules())
    with (
        running_server(folder / DATA) as server,
        tapped(server.url) as wire,
        _shell(folder, server.new_key(DEFAULT_ORG)) as shell,
    ):
        reader = Reader(Terminal(shell, wire.url), wire, server.client(DEFAULT_ORG))
        reader.type(environment or INDEX.blocks("shell-session")[0])
        yield reader


@contextmanager
def _shell(folder: Path, key: str) -> Iterator["subprocess.Popen[bytes]"]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environ = {"PATH": path, "HOME": str(folder), "COLUMNS": "80", "LANG": "C.UTF-8", "KEY": key}
    shell = subprocess.Popen(
        ["bash", "--norc", "--noprofile"],
        cwd=folder,
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield shell
    finally:
        assert shell.stdin is not None
        shell.stdin.close()
        end_process(shell)
