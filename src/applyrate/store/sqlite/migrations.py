"""Migrations: numbered SQL files that make the tables, each applied once. They only go forward."""

import sqlite3
from collections.abc import Iterator
from importlib.resources.abc import Traversable

from applyrate.errors import ApplyrateError


class WrittenByNewer(ApplyrateError):
    """A newer version of Applyrate has changed the tables of a file."""


def migrate(db: sqlite3.Connection, folder: Traversable, file_name: str) -> None:
    """Apply the files of a folder that were not applied yet, in the caller's transaction.

    Raises WrittenByNewer where one was applied that the folder does not have.
    """
    db.execute(
        "CREATE TABLE IF NOT EXISTS migration (number INTEGER PRIMARY KEY, name TEXT NOT NULL)"
    )
    done: dict[int, str] = dict(db.execute("SELECT number, name FROM migration ORDER BY number"))
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    numbers = {int(file.name.split("_")[0]): file for file in files}
    if unknown := [name for number, name in done.items() if number not in numbers]:
        raise WrittenByNewer(
            f"{file_name} was written by a newer version of Applyrate: this one does not know"
            f" {unknown[-1]!r}; install the newer one again, or restore a backup from before"
        )
    for number, file in numbers.items():
        if number in done:
            continue
        for statement in _statements(file.read_text(encoding="utf-8")):
            db.execute(statement)
        db.execute("INSERT INTO migration VALUES (?, ?)", (number, file.name))


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
