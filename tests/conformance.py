"""The whole document against a running service, by schemathesis: ``python -m tests.conformance``.

Requests are drawn from the document, sound ones and broken ones. No answer is a 5xx, and each has a
status, a media type and a body that the document declares for its operation.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.asks import REPLY, asks
from tests.servers import Server, running_server

if TYPE_CHECKING:
    from schemathesis.checks import CheckContext
    from schemathesis.schemas import APIOperation

ENDLESS = ("streamUsage", "streamResourceUsage")
"""Their answers go on for as long as somebody reads them: of these only the start is looked at."""


def broken_data_rejection(
    ctx: "CheckContext", response: Response, case: "Case[Any]"
) -> bool | None:
    """Whether what breaks a rule is refused: of a list, each item that does, beside the others."""
    operation_id = case.operation.definition.raw["operationId"]
    is_answered = operation_id in LISTS and response.status_code == HTTPStatus.OK
    if is_answered and response.json()["rejected"]:
        return None
    return negative_data_rejection(ctx, response, case)


LISTS = ("recordReplies", "setResources")
"""They take what is sound of a list, and tell what they reject of it."""

CHECKS: Sequence[Callable[..., Any]] = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    broken_data_rejection,
)
EXCEPT = {
    # What was published of it names no status for a bad request, so the document names none.
    status_code_conformance: ("getResourceUsageSummary",),
    # In OTLP's JSON null stands for any field that is not there, and what is unknown is ignored.
    broken_data_rejection: ("recordTraces",),
}

TIMEOUT_SECONDS = 60


class Conformance:
    """The operations of a running service, and a key of an organization that has some of all."""

    def __init__(self, server: Server) -> None:
        self.url = server.url
        self.request_count = 0
        client = server.client()
        self._headers = {"Authorization": client.headers["Authorization"]}
        client.post("/replies", json={**REPLY, "last_message": "text", "ticket_number": 7})
        for ask in asks("key_none"):
            if ask.method == "PUT":
                client.put(ask.target, json=ask.body)
        document = httpx.get(f"{server.url}/openapi.json").json()
        del document["security"]  # every request has the key; who may ask is test_api_callers'
        self._schema = schemathesis.openapi.from_dict(document)
        self._session = requests.Session()

    def operations(self) -> dict[str, Any]:
        """All of them by their ids."""
        found = [
            result.ok() for result in self._schema.get_all_operations() if isinstance(result, Ok)
        ]
        return {operation.definition.raw["operationId"]: operation for operation in found}

    def check(self, operation_id: str, *, example_count: int, number: int = 0) -> None:
        """Ask an operation in so many ways, half of them broken; fail for an answer that is not
        as declared. The same ``number`` draws the same requests.
        """
        operation = self.operations()[operation_id]
        for mode in GenerationMode:
            self._check(operation, mode, example_count // 2, number)

    def _check(
        self,
        operation: "APIOperation[Any, Any, Any, Any]",
        mode: GenerationMode,
        count: int,
        number: int,
    ) -> None:
        operation_id = operation.definition.raw["operationId"]
        checks = [check for check in CHECKS if operation_id not in EXCEPT.get(check, ())]

        def answer(case: "Case[Any]") -> None:
            self.request_count += 1
            if operation_id in ENDLESS:
                self._check_start(case, checks)
                return
            answered = case.call(
                self.url, self._session, headers=self._headers, timeout=TIMEOUT_SECONDS
            )
            case.validate_response(answered, checks=checks)

        run = given(case=operation.as_strategy(generation_mode=mode))(answer)
        drawn = settings(
            max_examples=count,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
        )(run)
        with suppress(Unsatisfiable):  # what takes nothing cannot be asked in a broken way
            seed(number)(drawn)()

    def _check_start(self, case: "Case[Any]", checks: list[Callable[..., Any]]) -> None:
        sent = case.as_transport_kwargs(base_url=self.url, headers=self._headers)
        with self._session.request(**sent, stream=True, timeout=TIMEOUT_SECONDS) as answered:
            declared = case.operation.definition.raw["responses"]
            assert str(answered.status_code) in declared, answered.text
            kind = answered.headers["content-type"].partition(";")[0]
            assert kind in declared[str(answered.status_code)]["content"]
            if not answered.ok:
                case.validate_response(Response.from_requests(answered, verify=True), checks=checks)


def main() -> None:
    """Go through all operations again and again, for so many seconds."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    with tempfile.TemporaryDirectory() as folder, running_server(Path(folder) / "data") as server:
        conformance = Conformance(server)
        ends_at, number = time.monotonic() + seconds, 0
        while time.monotonic() < ends_at:
            for operation_id in conformance.operations():
                conformance.check(operation_id, example_count=100, number=number)
            number += 1
        print(f"{conformance.request_count:,} requests are answered as the document says")


if __name__ == "__main__":
    main()
