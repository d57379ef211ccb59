"""Where the script was not built, pages say so and work, with tables in place of charts."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from applyrate.usage import Applied, Available, Recording, Reply
from tests.dashboard import reading, text_of
from tests.servers import Server, running_server

WITHOUT_BUILD = (
    "from applyrate.dashboard import assets; assets._BUILT = assets._PACKAGE / 'not-there'"
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service that was installed where there is no Node."""
    data = tmp_path_factory.mktemp("without-script") / "data"
    with running_server(data, prelude=WITHOUT_BUILD) as server:
        yield server


def test_a_page_says_what_is_missing_and_has_its_style(service: Server) -> None:
    with reading(service, service.new_key(service.new_org())) as reader:
        page = reader.open("/dashboard/keys")
        assert "make install builds it" in text_of(page)
        assert "<script" not in page.text
        (style,) = (part.split('"')[0] for part in page.text.split('stylesheet" href="')[1:])
        sheet = reader.open(style)
        assert sheet.status_code == 200
        assert "--accent:" in sheet.text
        assert ".tile {" in sheet.text
        assert "@import" not in sheet.text


def test_a_chart_is_a_table_that_is_open(service: Server) -> None:
    org = service.new_org()
    reply = Reply(
        "r_1",
        "s_1",
        datetime.now(UTC),
        available=Available(instruction=["ins_tone"]),
        applied=Applied(instruction=["ins_tone"]),
    )
    service.store.record([Recording(org, [reply])])
    with reading(service, service.new_key(org)) as reader:
        page = reader.open("/dashboard")
        assert "data-chart" not in page.text
        assert '<details class="chart-table" open>' in page.text
        assert "Day Available Applied" in text_of(page)
