"""``applyrate audit``: who did what."""

from functools import partial

from applyrate.answers import AuditList
from applyrate.api.cursors import Question
from applyrate.cli.failures import reporting_failure
from applyrate.cli.options import (
    DEFAULT_DATA,
    DEFAULT_LIMIT,
    DEFAULT_ORG,
    All,
    AsJson,
    Cursor,
    Data,
    Limit,
    Org,
    opened_existing,
)
from applyrate.cli.questions import print_more, read_pages
from applyrate.cli.terminal import print_json, stdout
from applyrate.usage import AuditPosition, Window


@reporting_failure
def audit(
    *,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    show_all: All = False,
    data: Data = DEFAULT_DATA,
    org: Org = DEFAULT_ORG,
    as_json: AsJson = False,
) -> None:
    """List who made and revoked keys, erased, exported and changed settings, newest first."""
    with opened_existing(data) as store:
        question = Question(store.cursor_secret(), org, "audit", window=Window())
        after = question.position(cursor, AuditPosition)
        ask = partial(store.audit, org)
        entries, following = read_pages(ask, question, after, limit=limit, show_all=show_all)
    if as_json:
        print_json(AuditList(entries, following))
        return
    if not entries:
        stdout().print(f"Nothing is noted of {org}.", markup=False)
        return
    from applyrate.cli.tables import audit_table

    stdout().print(audit_table(entries))
    print_more(following)
