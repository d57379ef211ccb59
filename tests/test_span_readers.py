"""Long exports are read in processes beside the service, which nobody can tell from the answers."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import psutil
import pytest

from applyrate.errors import InvalidInput, PayloadTooLarge
from applyrate.intake.conventions import Rules
from applyrate.intake.span_readers import MAX_BYTES_IN_LOOP, SpanReaders, SpansRead, read_spans
from applyrate.settings import Settings
from applyrate.usage import ResourceType, Window
from tests.servers import Server, end_process, running_server, start_process

RULES = Rules.of(Settings())
PATIENT_SECONDS = 30


def body_of(span_count: int) -> bytes:
    """An export in JSON of traces with one tool call each."""
    spans = ",".join(
        f'{{"traceId":"{number:032x}","spanId":"{number:016x}","name":"execute_tool look",'
        '"startTimeUnixNano":"1772359200000000000","endTimeUnixNano":"1772359200250000000",'
        '"attributes":[{"key":"gen_ai.operation.name","value":{"stringValue":"execute_tool"}},'
        '{"key":"gen_ai.tool.name","value":{"stringValue":"look"}},'
        '{"key":"session.id","value":{"stringValue":"conv_1"}}]}'
        for number in range(1, span_count + 1)
    )
    return f'{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{spans}]}}]}}]}}'.encode()


LONG = body_of(200)


@pytest.fixture
def readers() -> Iterator[SpanReaders]:
    with closing(SpanReaders(1)) as readers:
        yield readers


def children() -> list[psutil.Process]:
    """The processes that read, and not what keeps their books."""
    return [
        child
        for child in psutil.Process().children(recursive=True)
        if "spawn_main" in " ".join(child.cmdline())
    ]


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENT_SECONDS
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


async def read_beside(readers: SpanReaders, body: bytes) -> SpansRead:
    """Read until a process has done it."""
    before = [child.cpu_times().user for child in children()]
    until = time.monotonic() + PATIENT_SECONDS
    while True:
        read = await readers.read(body, RULES, is_json=True)
        after = [child.cpu_times().user for child in children()]
        if len(after) == len(before) > 0 and after > before:
            return read
        before = after
        assert time.monotonic() < until


def test_a_process_reads_what_the_service_would(readers: SpanReaders) -> None:
    assert len(LONG) > MAX_BYTES_IN_LOOP
    read = asyncio.run(read_beside(readers, LONG))
    assert read == read_spans(LONG, RULES, is_json=True)
    assert len(read.spans) == 200


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"[" + b" " * MAX_BYTES_IN_LOOP, InvalidInput),
        (b'{"resourceSpans":[' + b"{}," * 1_000_001 + b"{}]}", PayloadTooLarge),
    ],
)
def test_what_is_wrong_with_a_body_is_told_from_a_process_too(
    readers: SpanReaders, body: bytes, error: type[Exception]
) -> None:
    async def ask() -> None:
        await read_beside(readers, LONG)
        with pytest.raises(error) as told:
            await readers.read(body, RULES, is_json=True)
        with pytest.raises(error) as expected:
            read_spans(body, RULES, is_json=True)
        assert str(told.value) == str(expected.value)

    asyncio.run(ask())


def test_a_process_that_is_killed_fails_no_export(readers: SpanReaders) -> None:
    async def ask() -> None:
        await read_beside(readers, LONG)
        for child in children():
            child.kill()
        assert len((await readers.read(LONG, RULES, is_json=True)).spans) == 200
        await read_beside(readers, LONG)  # there is another one

    asyncio.run(ask())


def test_without_processes_long_exports_are_read_too() -> None:
    with closing(SpanReaders(0)) as readers:
        read = asyncio.run(readers.read(LONG, RULES, is_json=True))
        assert len(read.spans) == 200
        assert not children()


def export_until_read_beside(client: httpx.Client, process_id: int) -> psutil.Process:
    """Send long exports until the service has a process that reads; that process."""
    until = time.monotonic() + PATIENT_SECONDS
    while True:
        response = client.post(
            "/v1/traces", content=LONG, headers={"Content-Type": "application/json"}
        )
        assert response.status_code == 200
        service = psutil.Process(process_id)
        for child in service.children(recursive=True):
            if "spawn_main" in " ".join(child.cmdline()):
                return child
        assert time.monotonic() < until


def test_the_processes_end_with_the_service(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        child = export_until_read_beside(server.client(), server.process.pid)
        assert end_process(server.process) == 0
        wait_for(lambda: not child.is_running())


def test_the_processes_end_with_a_service_that_is_killed(tmp_path: Path) -> None:
    process, url = start_process(tmp_path / "data")
    server = Server(process, url, tmp_path / "data")
    try:
        child = export_until_read_beside(server.client("acme"), process.pid)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        wait_for(lambda: not child.is_running())
    finally:
        server.close()
        end_process(process)


def test_what_processes_read_is_counted_once(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        client = server.client("acme")
        export_until_read_beside(client, server.process.pid)

        def counted() -> int:
            window = Window()
            summary = server.store.summary("acme", ResourceType.ACTION, "look", window)
            return summary.applied_replies

        wait_for(lambda: counted() == 200)
