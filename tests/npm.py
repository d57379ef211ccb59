"""Packages from npm: exactly those of a lock file, each hash checked, installed once."""

import fcntl
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

CACHE = Path(__file__).parents[1] / ".cache" / "npm"


def install(locked: Path) -> Path:
    """The ``node_modules`` of a folder with a lock file. Raises CalledProcessError with npm's."""
    lock = (locked / "package-lock.json").read_bytes()
    folder = CACHE / f"{locked.name}-{sha256(lock).hexdigest()[:12]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{locked.name}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # tests run in several processes
        if not (folder / "installed").exists():
            shutil.copytree(locked, folder, dirs_exist_ok=True)
            subprocess.run(
                ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
                cwd=folder,
                check=True,
            )
            (folder / "installed").touch()
    return folder / "node_modules"
