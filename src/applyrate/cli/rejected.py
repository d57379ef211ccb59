"""``applyrate rejected``: what came in and was not taken, and why."""

from datetime import UTC, datetime

from applyrate.answers import RejectedList
from applyrate.api.cursors import Question
from applyrate.cli.failures import reporting_failure
from applyrate.cli.options import (
    DEFAULT_DATA,
    DEFAULT_LIMIT,
    DEFAULT_ORG,
    AsJson,
    Cursor,
    Data,
    Limit,
    Org,
    opened_existing,
    opened_inbox,
)
from applyrate.cli.terminal import print_json, stdout
from applyrate.intake.rejections import RejectedPosition
from applyrate.usage import Window


@reporting_failure
def rejected(
    *,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    data: Data = DEFAULT_DATA,
    org: Org = DEFAULT_ORG,
    as_json: AsJson = False,
) -> None:
    """List what was rejected in the last 30 days: how much for which reason, and the newest."""
    with opened_existing(data) as store, opened_inbox(data) as inbox:
        question = Question(store.cursor_secret(), org, "rejected", window=Window())
        after = question.position(cursor, RejectedPosition)
        page, reasons = inbox.rejections(org, limit=limit, after=after)
    answer = RejectedList(page.items, question.cursor(page.next), reasons)
    if as_json:
        print_json(answer)
        return
    from rich.text import Text

    console = stdout()
    console.print(Text.assemble("rejected in the last 30 days", (f" in {org}", "dim")))
    if not answer.reasons:
        console.print("Nothing was.")
        return
    from applyrate.cli.tables import reasons_table, rejected_table

    now = datetime.now(UTC)
    console.print(reasons_table(answer.reasons, now))
    console.print("the newest, one by one")
    console.print(rejected_table(answer.items, now))
    if answer.next is not None:
        console.print(f"[dim]There are more: --cursor {answer.next}[/]", soft_wrap=True)
