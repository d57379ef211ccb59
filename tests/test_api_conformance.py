"""No request breaks the service, and every answer is as the document declares it."""

from collections.abc import Iterator

import pytest

from applyrate.api.app import ROUTES
from applyrate.api.openapi import operation_of
from tests.conformance import Conformance
from tests.servers import running_server

EXAMPLE_COUNT = 150


@pytest.fixture(scope="module")
def conformance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Conformance]:
    with running_server(tmp_path_factory.mktemp("conformance") / "data") as server:
        yield Conformance(server)


@pytest.mark.parametrize(
    "operation_id",
    [operation_of(route).operation_id for route in ROUTES if not operation_of(route).hidden],
)
def test_every_answer_is_as_the_document_declares_it(
    conformance: Conformance, operation_id: str
) -> None:
    conformance.check(operation_id, example_count=EXAMPLE_COUNT)
