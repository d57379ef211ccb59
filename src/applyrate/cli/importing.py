"""``applyrate import``: a file of transcripts or replies into an organization."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from enum import StrEnum
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import Annotated, cast

import typer
from msgspec import Struct

from applyrate.answers import RejectedInput, Source
from applyrate.cli.failures import FAILED, INTERRUPTED, reporting_failure
from applyrate.cli.interrupts import Interrupt
from applyrate.cli.options import (
    DEFAULT_DATA,
    DEFAULT_ORG,
    AsJson,
    Data,
    Org,
    opened,
    opened_inbox,
)
from applyrate.cli.progress import reply_progress
from applyrate.cli.terminal import print_json, show_count, stderr, stdout
from applyrate.errors import InvalidInput
from applyrate.intake.bounds import Bounds
from applyrate.intake.imports import Imported, Rejection, import_lines
from applyrate.intake.journal import Notes
from applyrate.intake.lines import LineReader
from applyrate.intake.reading_lines import Read, read_lines, read_reply, read_within
from applyrate.intake.rejections import describe_rejection
from applyrate.intake.transcripts import HANDOFF_ACTIONS, read_transcript
from applyrate.settings import load_settings

MAX_WORKERS = 64


class Format(StrEnum):
    """What a line of the file is."""

    TRANSCRIPTS = "transcripts"
    REPLIES = "replies"


@reporting_failure
def import_file(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            dir_okay=False,
            allow_dash=True,
            help="The file, gzip or not; - is standard input.",
        ),
    ],
    *,
    file_format: Annotated[
        Format,
        typer.Option(
            "--format",
            help="What a line is: a conversation in the OpenAI chat form, or a reply as"
            " POST /replies takes it.",
        ),
    ],
    data: Data = DEFAULT_DATA,
    org: Org = DEFAULT_ORG,
    handoff_action: Annotated[
        list[str],
        typer.Option(
            metavar="NAME",
            help="Transcripts: calling this action hands the conversation off. Repeatable.",
        ),
    ] = list(HANDOFF_ACTIONS),  # noqa: B006 (Typer shows it as the default; nobody changes it)
    workers: Annotated[
        int,
        typer.Option(
            min=1,
            max=MAX_WORKERS,
            metavar="N",
            help="How many processes work: one records, the others read the lines.",
        ),
    ] = 1,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say only what went wrong.")] = False,
    as_json: AsJson = False,
) -> None:
    """Import transcripts or replies. Importing again changes nothing.

    A bad line is reported with its number and the rest goes on; the exit status is then 1.
    """
    read = _reader(file_format, handoff_action)
    rejections: list[Rejection] = []
    tell = rejections.append if as_json else _print_rejection
    notes = Notes()

    def reject(rejection: Rejection) -> None:
        tell(rejection)
        notes.reject(_describe(rejection))

    imported = Imported()
    started_at = time.monotonic()
    with (
        _binary(file) as source,
        opened(data) as store,
        _noted(notes, data, org),
        Interrupt() as interrupt,
    ):
        lines = LineReader(source)
        shown = not (quiet or as_json)
        name = "standard input" if str(file) == "-" else file.name
        with reply_progress(name, lines.size_bytes, shown=shown) as show:
            said = read_lines(interrupt.until_asked(lines), read, beside=workers - 1)
            for imported in import_lines(store, org, said, reject):
                show(lines.position_bytes, imported.replies)
        notes.arrive(Source.IMPORT, imported.replies)
    seconds = time.monotonic() - started_at
    if as_json:
        print_json(ImportAnswer.of(imported, rejections))
    elif not quiet or interrupt.asked:
        _print_outcome(imported, file_format, seconds, interrupted=interrupt.asked)
    if interrupt.asked:
        raise typer.Exit(INTERRUPTED)
    if imported.rejected:
        raise typer.Exit(FAILED)


@contextmanager
def _noted(notes: Notes, data: Path, org: str) -> Iterator[None]:
    """Have what was noted of the import beside what the service notes, however the import ends."""
    try:
        yield
    finally:
        if notes.arrived or notes.faults:
            with opened_inbox(data) as inbox:
                inbox.write_notes({org: notes})


def _describe(rejection: Rejection) -> RejectedInput:
    return describe_rejection(
        Source.IMPORT, rejection.message, line=rejection.line, reply_id=rejection.reply_id
    )


class ImportAnswer(Struct, frozen=True):
    """What became of the file's lines, in the words of the answer to ``POST /replies``."""

    lines: int
    accepted: int
    duplicates: int
    handed_off: int
    rejected: list[Rejection]

    @classmethod
    def of(cls, imported: Imported, rejected: list[Rejection]) -> "ImportAnswer":
        """The answer to one import."""
        return cls(
            imported.lines, imported.accepted, imported.duplicates, imported.handed_off, rejected
        )


def _reader(file_format: Format, handoff_actions: Sequence[str]) -> Read:
    read = (
        read_reply
        if file_format is Format.REPLIES
        else partial(read_transcript, handoff_actions=frozenset(handoff_actions))
    )
    return partial(read_within, Bounds.of(load_settings()), read)


def _binary(file: Path) -> AbstractContextManager[BufferedReader]:
    if str(file) == "-":
        return nullcontext(cast("BufferedReader", sys.stdin.buffer))
    try:
        return file.open("rb")
    except OSError as error:
        raise InvalidInput(f"FILE: {str(file)!r} cannot be read: {error.strerror}") from None


def _print_rejection(rejection: Rejection) -> None:
    reply = "" if rejection.reply_id is None else f" reply {rejection.reply_id!r}:"
    stderr().print(f"[red]line {rejection.line:,}:[/]", end="")
    stderr().print(f"{reply} {rejection.message}", markup=False, soft_wrap=True)


def _print_outcome(
    imported: Imported, file_format: Format, seconds: float, *, interrupted: bool
) -> None:
    print_line = stdout().print
    print_line(f"[bold]{show_count(imported.accepted, 'reply')}[/] imported", end="")
    if imported.duplicates:
        print_line(f", {imported.duplicates:,} known before", end="")
    if imported.rejected:
        print_line(f", [red]{imported.rejected:,} rejected[/]", end="")
    if file_format is Format.TRANSCRIPTS:
        conversations = show_count(imported.lines, "conversation")
        print_line(f"; {conversations}, {imported.handed_off:,} handed off", end="")
    print_line(f" [dim]({imported.replies / seconds:,.0f} replies a second)[/]")
    if interrupted:
        stderr().print("[yellow]Interrupted.[/] Import the file again for the rest of it.")
