"""The sessions on the pages: fenced blocks of ``console``, as they are typed and coloured."""

import subprocess
from collections.abc import Iterator


def split_session(session: str) -> Iterator[tuple[str, str]]:
    """Each command of a session with what it shows; one goes on until the shell has all of it."""
    command, shown = "", ""
    for line in session.splitlines():
        if line.startswith("$ "):
            if command:
                yield command, shown
            command, shown = line[2:], ""
        elif not shown and _goes_on(command):
            command += f"\n{line}"
        else:
            shown += f"{line}\n"
    yield command, shown


def _goes_on(command: str) -> bool:
    read = subprocess.run(
        ["bash", "-n", "-c", command], capture_output=True, env={"LC_ALL": "C"}, check=False
    )
    return command.endswith("\\") or any(end in read.stderr for end in _UNFINISHED)


_UNFINISHED = (b"unexpected end of file", b"unexpected EOF", b"delimited by end-of-file")
