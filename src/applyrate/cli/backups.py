"""``applyrate backup`` and ``applyrate restore``: a copy of all data, and the way back."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from applyrate.cli.failures import reporting_failure
from applyrate.cli.options import DEFAULT_DATA, AsJson, Data
from applyrate.cli.terminal import print_json, stderr, stdout


@reporting_failure
def backup(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", file_okay=False, help="The folder to make, or an empty one."),
    ],
    *,
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Copy all that is stored into a new folder, while the service runs, and check the copy."""
    from applyrate.backups import back_up

    started_at = time.monotonic()
    with _copying("Backing up", shown=not as_json) as show:
        copied = back_up(data, folder, show)
    if as_json:
        print_json(copied)
        return
    seconds = time.monotonic() - started_at
    told = f"{copied.size_bytes / 1e6:,.1f} MB in {folder}, copied and checked in {seconds:.1f} s."
    stdout().print(told, markup=False, soft_wrap=True)


@reporting_failure
def restore(
    source: Annotated[Path, typer.Argument(metavar="DIR", file_okay=False, help="The backup.")],
    *,
    data: Data = DEFAULT_DATA,
    force: Annotated[
        bool, typer.Option("--force", help="Move the data that is there aside.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring a backup into a data folder on which nothing runs, once it is found intact."""
    from applyrate.backups import restore as bring_back

    started_at = time.monotonic()
    with _copying("Restoring", shown=not as_json) as show:
        copied = bring_back(source, data, force=force, show=show)
    if as_json:
        print_json(copied)
        return
    seconds = time.monotonic() - started_at
    told = (
        f"{copied.size_bytes / 1e6:,.1f} MB restored into {data}, and checked, in {seconds:.1f} s."
    )
    stdout().print(told, markup=False, soft_wrap=True)
    if copied.set_aside:
        told = f"What was there before is in {copied.set_aside}."
        stdout().print(told, markup=False, soft_wrap=True)


@contextmanager
def _copying(words: str, *, shown: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar with the bytes that are copied, and word of the check that follows, on a terminal."""
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=stderr(),
        disable=not (shown and stderr().is_terminal),
        expand=True,
        transient=True,
    )
    with progress:
        task = progress.add_task(words, total=None)

        def show(done: int, total: int) -> None:
            is_done = done == total
            progress.update(
                task,
                completed=done,
                total=total,
                description="Checking the copy" if is_done else words,
            )

        yield show
