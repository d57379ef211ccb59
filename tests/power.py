"""A loss of power, as far as it can be had: what was written and not synced is gone (synced.c)."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest

SOURCE = Path(__file__).with_name("synced.c")


class Outlet:
    """What a process that runs on it leaves behind in a folder when its power is cut.

    Nobody else may write there meanwhile.
    """

    def __init__(self, folder: Path, kept: Path, layer: Path) -> None:
        self._folder = folder
        self._kept = kept
        self.environ = {
            "LD_PRELOAD": str(layer),
            "SYNCED_FOLDER": str(folder),
            "SYNCED_KEPT": str(kept),
        }
        for name in ("files", "names"):
            (kept / name).mkdir(parents=True)

    @contextmanager
    def powering(self) -> Iterator[None]:
        """Processes that are started here, by this one, run on it."""
        with mock.patch.dict(os.environ, self.environ):
            yield

    def restart(self, into: Path) -> Path:
        """Bring what the disk holds into a new folder; the processes must have ended."""
        self._bring_back(str(self._folder.stat().st_ino), into)
        return into

    def _bring_back(self, inode: str, into: Path) -> None:
        """A file with what was synced of it, or a folder with those that were named in it."""
        content, names = (self._kept / kind / inode for kind in ("files", "names"))
        if content.exists():
            shutil.copyfile(content, into)
        elif names.exists():
            into.mkdir()
            for line in names.read_text().splitlines():
                below, _, name = line.partition(" ")
                self._bring_back(below, into / name)


def install_outlet(tmp_path: Path) -> Outlet:
    """For all below a new folder ``disk``; skips the test where the layer cannot be built."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("NOT TESTED, a loss of power: there is no C compiler")
    layer = tmp_path / "synced.so"
    options = ("-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC")
    build = (compiler, *options, "-o", layer, SOURCE, "-ldl", "-lpthread")
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"NOT TESTED, a loss of power: {done.stderr}")
    (tmp_path / "disk").mkdir()
    return Outlet(tmp_path / "disk", tmp_path / "kept", layer)
