"""The dead weight: why something is unused, what it costs, and what is kept on purpose."""

import csv
import re
from collections.abc import Iterator
from html import unescape
from io import StringIO

import pytest

from applyrate.usage import CatalogueEntry, ResourceType
from tests.dashboard import Reader, hidden_fields, reading, text_of
from tests.servers import Server
from tests.usages import days_ago, record, reply


@pytest.fixture
def org(server: Server) -> str:
    org = server.new_org()
    record(
        server,
        org,
        reply("a", days_ago(1), had=["tone", "heavy", "went-quiet"], applied=["tone"]),
        reply("b", days_ago(2), had=["heavy"]),
        reply("b", days_ago(3), had=["heavy"]),
        reply("c", days_ago(50), had=["went-quiet"], applied=["went-quiet"]),
        names={"heavy": "A heavy rule"},
    )
    entries = [
        CatalogueEntry(type=ResourceType.INSTRUCTION, id="never-seen"),
        CatalogueEntry(type=ResourceType.INSTRUCTION, id="safety-net", keep=True),
    ]
    server.store.set_catalogue(org, entries)
    return org


@pytest.fixture
def reader(server: Server, org: str) -> Iterator[Reader]:
    with reading(server, server.new_key(org)) as reader:
        yield reader


def row_of(text: str, resource_id: str) -> str:
    """What the row of a resource says."""
    (row,) = re.findall(rf'<tr id="row-{resource_id}">.*?</tr>', text, re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", row)).split())


def test_each_is_listed_with_its_reason_and_its_cost_the_heaviest_first(reader: Reader) -> None:
    page = reader.open("/dashboard/unused").text
    assert re.findall(r'<tr id="row-([\w-]+)"', page) == [
        "heavy",
        "went-quiet",
        "never-seen",
        "safety-net",
    ]
    assert row_of(page, "heavy").startswith("A heavy rule heavy Never applied 3× 2 never")  # noqa: RUF001
    assert row_of(page, "went-quiet").startswith("went-quiet Stopped being applied 1× 1 ")  # noqa: RUF001
    assert row_of(page, "never-seen").startswith("never-seen Never available 0× 0 never")  # noqa: RUF001
    assert row_of(page, "safety-net").startswith("safety-net Kept on purpose 0× 0 never")  # noqa: RUF001


def test_the_cost_of_all_is_told(reader: Reader) -> None:
    said = text_of(reader.open("/dashboard/unused"))
    assert "Unused 4 80% of 5 instructions" in said
    assert "In context for nothing 4 times, 80% of all that was in context" in said
    assert "Kept on purpose 1" in said


def test_a_reason_can_be_chosen(reader: Reader) -> None:
    page = reader.open("/dashboard/unused?reason=stopped")
    assert re.findall(r'<tr id="row-([\w-]+)"', page.text) == ["went-quiet"]
    assert re.search(r'aria-current="true">Stopped being applied <small>1<', page.text)
    assert "All 4 Never applied 1 Stopped being applied 1 Never available 1" in text_of(page)
    assert reader.open("/dashboard/unused?reason=bored").status_code == 400


def test_what_is_kept_on_purpose_is_marked_and_can_be_unmarked(
    server: Server, org: str, reader: Reader
) -> None:
    page = reader.open("/dashboard/unused?preset=90d&reason=never_applied")
    action = "/dashboard/keep?preset=90d&amp;id=heavy"
    fields = hidden_fields(page, action)
    kept = reader.http.post(unescape(action), data={**fields, "keep": "yes"}, follow_redirects=True)
    assert str(kept.url).endswith("/dashboard/unused?preset=90d&reason=never_applied")
    asked = (org, ResourceType.INSTRUCTION, ["heavy"])
    assert server.store.catalogue(*asked)["heavy"].keep
    assert server.store.catalogue(*asked)["heavy"].name == "A heavy rule"
    page = reader.open("/dashboard/unused?preset=90d")
    assert "Kept on purpose" in row_of(page.text, "heavy")
    fields = hidden_fields(page, action)
    reader.http.post(unescape(action), data={**fields, "keep": "no"})
    assert not server.store.catalogue(*asked)["heavy"].keep


def test_a_form_of_another_site_changes_nothing(server: Server, org: str, reader: Reader) -> None:
    answer = reader.http.post("/dashboard/keep?id=heavy", data={"keep": "yes"})
    assert answer.status_code == 403
    asked = (org, ResourceType.INSTRUCTION, ["heavy"])
    assert not server.store.catalogue(*asked)["heavy"].keep


def test_the_button_leads_back_to_nowhere_else(reader: Reader) -> None:
    fields = hidden_fields(reader.open("/dashboard/unused"), "/dashboard/keep?id=heavy")
    for elsewhere in ("https://example.com", "//example.com", "/dashboard/unused\\@example.com?"):
        answer = reader.http.post(
            "/dashboard/keep?id=heavy", data={**fields, "keep": "yes", "back": elsewhere}
        )
        assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard/unused")


def test_keeping_needs_the_scope_to_write(server: Server, org: str) -> None:
    key = server.new_key(org, ["training:read", "chat-sessions:read"])
    with reading(server, key) as reader:
        page = reader.open("/dashboard/unused")
        assert '<button class="small" id="keep-' not in page.text
        assert "training:write" in text_of(page)
        proof = re.search(r'"X-CSRF-Token":"(\w+)"', page.text)
        assert proof is not None
        answer = reader.http.post(
            "/dashboard/keep?id=heavy", data={"keep": "yes", "csrf_token": proof[1]}
        )
        assert answer.status_code == 403
        assert "training:write" in text_of(answer)


def test_all_of_them_come_as_a_file(reader: Reader) -> None:
    answer = reader.open("/dashboard/unused.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "unused-instruction.csv" in answer.headers["content-disposition"]
    rows = list(csv.DictReader(StringIO(answer.text)))
    assert [row["resource_id"] for row in rows][:2] == ["heavy", "went-quiet"]
    assert rows[0]["reason"] == "never_applied"
    assert rows[0]["available_replies"] == "3"
    page = reader.open("/dashboard/unused?preset=all")
    assert 'href="/dashboard/unused.csv?preset=all"' in page.text


def test_the_file_has_all_of_them_however_many(server: Server) -> None:
    org = server.new_org()
    ids = [f"ins_{number:04}" for number in range(2_300)]
    record(server, org, reply("a", days_ago(1), had=ids[:150]))
    entries = [CatalogueEntry(type=ResourceType.INSTRUCTION, id=one) for one in ids]
    server.store.set_catalogue(org, entries)
    with reading(server, server.new_key(org)) as reader:
        rows = list(csv.DictReader(StringIO(reader.open("/dashboard/unused.csv").text)))
    assert [row["resource_id"] for row in rows] == ids
    assert [row["available_replies"] for row in rows] == ["1"] * 150 + ["0"] * 2_150


def test_the_pages_of_a_reason_have_those_alone(server: Server) -> None:
    org = server.new_org()
    ids = [f"ins_{number:03}" for number in range(60)]
    record(server, org, reply("a", days_ago(1), had=[*ids, "tone"], applied=["tone"]))
    quiet = [CatalogueEntry(type=ResourceType.INSTRUCTION, id=f"q_{n:03}") for n in range(70)]
    server.store.set_catalogue(org, quiet)
    with reading(server, server.new_key(org)) as reader:
        page = reader.open("/dashboard/unused?reason=never_available&page=2")
    seen = re.findall(r'<tr id="row-([\w-]+)"', page.text)
    assert seen == [entry.id for entry in quiet[50:]]
    assert "51 to 70 of 70" in text_of(page)
    assert "All 130 Never applied 60 Never available 70" in text_of(page)


def test_many_are_shown_on_pages(server: Server) -> None:
    org = server.new_org()
    ids = [f"ins_{number:03}" for number in range(120)]
    record(server, org, reply("a", days_ago(1), had=[*ids, "tone"], applied=["tone"]))
    with reading(server, server.new_key(org)) as reader:
        page = reader.open("/dashboard/unused")
        seen = re.findall(r'<tr id="row-([\w-]+)"', page.text)
        while following := re.search(r'rel="next" href="([^"]*)"', page.text):
            page = reader.open(unescape(following[1]))
            seen += re.findall(r'<tr id="row-([\w-]+)"', page.text)
        assert seen == ids
        assert "101 to 120 of 120" in text_of(page)


def test_where_nothing_tells_what_was_applied_nothing_is_called_unused(server: Server) -> None:
    org = server.new_org()
    record(server, org, reply("a", days_ago(1), had=["tone"]), reports=frozenset())
    with reading(server, server.new_key(org)) as reader:
        said = text_of(reader.open("/dashboard/unused"))
        assert "No signal" in said
        assert "tone" not in said


def test_where_all_is_used_there_is_no_dead_weight(server: Server) -> None:
    org = server.new_org()
    record(server, org, reply("a", days_ago(1), had=["tone"], applied=["tone"]))
    with reading(server, server.new_key(org)) as reader:
        assert "No dead weight" in text_of(reader.open("/dashboard/unused"))
        assert "Nothing here yet" in text_of(reader.open("/dashboard/unused?type=action"))
