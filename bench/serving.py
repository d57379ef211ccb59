"""The service in a process of its own, on a data folder, for as long as a measurement takes."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from applyrate.keys import digest, issue_key
from applyrate.store import open_store

_END_SECONDS = 30

_SERVE = (
    "from applyrate.api.serving import serve; from applyrate.settings import load_settings;"
    "serve(load_settings(), lambda address: print(address, flush=True)); import os; os._exit(0)"
)


@contextmanager
def serving(folder: Path, org: str, *, module: str | None = None) -> Iterator[tuple[str, str]]:
    """The service on a folder, without limits: its address and a full-access key.

    ``module`` is one that serves it in another way.
    """
    key = add_key(folder, org)
    how = ["-c", _SERVE] if module is None else ["-m", module]
    with running([sys.executable, *how], _settings(folder)) as url:
        yield url, key


@contextmanager
def serving_by_command(folder: Path) -> Iterator[str]:
    """The same by ``applyrate serve``; its address."""
    with running([sys.executable, "-m", "applyrate", "serve"], _settings(folder)) as told:
        yield next(word for word in told.split() if word.startswith("http://"))


def add_key(folder: Path, org: str) -> str:
    """A new full-access key."""
    with closing(open_store(folder)) as store:
        key, kept = issue_key(org, "bench", scopes=None, created_at=datetime.now(UTC))
        store.add_key(kept, digest(key))
    return key


def _settings(folder: Path) -> dict[str, str]:
    return {
        "APPLYRATE_DATA": str(folder),
        "APPLYRATE_PORT": "0",
        "APPLYRATE_STANDARD_LIMIT": "0",
        "APPLYRATE_STREAMING_LIMIT": "0",
    }


@contextmanager
def running(
    command: Sequence[str], settings: Mapping[str, str], log: IO[bytes] | None = None
) -> Iterator[str]:
    """A process that tells its address in its first line, ended by its own id; that line.

    ``log`` takes its standard error.
    """
    process = subprocess.Popen(
        command, env={**os.environ, **settings}, stdout=subprocess.PIPE, stderr=log, text=True
    )
    try:
        with process.stdout or nullcontext() as lines:
            yield (lines.readline() if lines else "").strip()
    finally:
        process.terminate()
        process.wait(_END_SECONDS)
