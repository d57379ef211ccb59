"""A wall clock that a test sets while a service runs, as whoever administers a machine may."""

import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("clock_shift.c")


class Clock:
    """The wall clock of every process that starts while it is there."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock_shift"
        self.set(0)

    def set(self, shift_seconds: int) -> None:
        """Let the wall clock be so far ahead of the true time, or behind it."""
        with self._file.open("r+b" if self._file.exists() else "w+b") as file:
            file.write(shift_seconds.to_bytes(8, "little", signed=True))


def new_clock(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock for the processes that the test starts from now on. Skips without a C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("NOT TESTED: a shifted clock needs the C compiler cc, and there is none")
    library = folder / "clock_shift.so"
    subprocess.run(
        [compiler, "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"],
        check=True,
    )
    clock = Clock(folder)
    monkeypatch.setenv("LD_PRELOAD", str(library))
    monkeypatch.setenv("CLOCK_SHIFT_FILE", str(folder / "clock_shift"))
    return clock
