"""``applyrate check``: everything that is stored, verified against everything else."""

import time

import typer
from msgspec import Struct

from applyrate.cli.failures import FAILED, reporting_failure
from applyrate.cli.options import DEFAULT_DATA, AsJson, Data, opened_existing
from applyrate.cli.terminal import print_json, show_count, stderr, stdout
from applyrate.errors import Unavailable
from applyrate.store import Store


class CheckAnswer(Struct, frozen=True):
    """What a check looked at, and each fault it found as a sentence."""

    organizations: int
    size_bytes: int
    faults: list[str]


@reporting_failure
def check(*, data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Verify every count against its bitmaps, the bitmaps against the replies, and the inbox.

    Each fault is named; the exit status is 1 when there is any.
    """
    from applyrate.backups import check_files

    faults = []
    started_at = time.monotonic()
    with opened_existing(data) as store, stderr().status("Checking ..."):
        organizations = _count_organizations(store)
        for fault in check_files(data):
            faults.append(fault)
            if not as_json:
                stdout().print(fault, markup=False, soft_wrap=True)
    seconds = time.monotonic() - started_at
    size_bytes = sum(file.stat().st_size for file in data.glob("*.db*"))
    if as_json:
        print_json(CheckAnswer(organizations, size_bytes, faults))
    else:
        found = f"[red]{show_count(len(faults), 'fault')}[/]" if faults else "[green]No fault[/]"
        where = f"{show_count(organizations, 'organization')}, {size_bytes / 1e6:,.1f} MB"
        stdout().print(f"{found} in {where}, checked in {seconds:.1f} s.")
    if faults:
        raise typer.Exit(FAILED)


def _count_organizations(store: Store) -> int:
    try:
        return len(store.organizations())
    except Unavailable:
        return 0  # the check itself says what is damaged
