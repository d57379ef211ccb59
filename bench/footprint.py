"""Measuring what the service takes: memory, disk, the time to its first answer; and the import."""

import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import msgspec
import psutil

from applyrate.store import Store
from applyrate.usage import Recording, Reply, ResourceType
from bench.generator import ORG
from bench.load import request_of, send
from bench.organizations import Data
from bench.questions import COLD_SHARE, HOT_SHARE, MID_SHARE, OURS
from bench.service import Service, day_windows
from bench.serving import add_key, serving_by_command
from bench.tables import Part, Table, at_least, at_most, milliseconds, times
from bench.timing import spread_of
from bench.transcripts import transcripts

MEMORY_MB = 200
BYTES_A_USAGE = 9
START_SECONDS = 1.0
_STARTS = 5


def measure_disk(folder: Path, data: Data, peer_bytes: dict[str, int]) -> Part:
    """Everything on disk, after the write-ahead log was folded in."""
    ours = sum(file.stat().st_size for file in folder.glob("applyrate.db*"))
    count = data.usage_count()
    rows = [
        [name, f"{size / count:.2f}", f"{size / 1e6:,.0f}", times(size / ours)]
        for name, size in {"Applyrate": ours, **peer_bytes}.items()
    ]
    return Part(
        [Table("Disk", ("", "bytes a usage", "MB", "to Applyrate"), rows)],
        [at_most("disk", BYTES_A_USAGE, ours / count, "bytes a usage")],
    )


def measure_service(folder: Path, data: Data) -> Part:
    """Start the service several times, then look at its memory as it is asked and imported into."""
    starts, key = [], add_key(folder, ORG)
    for _ in range(_STARTS):
        began = time.perf_counter()
        with serving_by_command(folder) as url:
            _ask_once(Service(url, key, data))
            starts.append(time.perf_counter() - began)
    with _import_file(folder, data, "memory") as file, serving_by_command(folder) as url:
        service = child_that_listens(url)
        running = Service(url, key, data)
        _ask_much(running)
        serving_bytes = service.memory_info().rss
        importing = psutil.Popen(_import_command(folder, file), stdout=subprocess.DEVNULL)
        most = most_importing = 0
        while importing.poll() is None:
            most = max(most, service.memory_info().rss)
            most_importing = max(most_importing, _resident(importing))
            _ask_once(running)
            time.sleep(0.02)
        assert importing.returncode == 0
    spread = spread_of(starts)
    megabytes = [size / 1e6 for size in (serving_bytes, most, most_importing)]
    return Part(
        [
            Table(
                "Memory and start",
                ("", "measured"),
                [
                    ["resident while serving, MB", f"{megabytes[0]:,.0f}"],
                    [
                        "resident while serving during an import, the most, MB",
                        f"{megabytes[1]:,.0f}",
                    ],
                    ["resident of the import itself, the most, MB", f"{megabytes[2]:,.0f}"],
                    ["from the start to the first answer, ms", milliseconds(spread)],
                ],
                "Asked before: summaries of hot, mid and cold resources in all windows, lists and "
                "conversations of every type.",
            )
        ],
        [
            at_most("memory while serving", MEMORY_MB, megabytes[0], "MB"),
            at_most("memory while an import runs", MEMORY_MB, max(megabytes[1:]), "MB"),
            at_most("start until the first answer", START_SECONDS, spread.median, "s"),
        ],
    )


def measure_import(folder: Path, store: Store, data: Data) -> Part:
    """Import files, with one worker and with two, beside the store's own rate."""
    ways = {
        f"{file_format}, {name}": (file_format, workers)
        for file_format in ("replies", "transcripts")
        for name, workers in (("one worker", "1"), ("two workers", "2"))
    }
    rates: dict[str, list[float]] = {name: [] for name in (*ways, OURS)}
    for turn in range(3):
        for name, (file_format, workers) in ways.items():
            with _import_file(folder, data, f"{turn}-{workers}", file_format) as file:
                command = [*_import_command(folder, file, file_format), "--workers", workers]
                began = time.perf_counter()
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                rates[name].append(_replies(data) / (time.perf_counter() - began))
        began = time.perf_counter()
        for replies in _new_replies(data, f"store-{turn}"):
            store.record([Recording(ORG, replies)])
        rates[OURS].append(_replies(data) / (time.perf_counter() - began))
    medians = {name: median(taken) for name, taken in rates.items()}
    rows = [
        [
            name,
            f"{medians[name]:,.0f} ({min(taken):,.0f} to {max(taken):,.0f})",
            times(medians[name] / medians[OURS]),
        ]
        for name, taken in rates.items()
    ]
    best = max(medians[name] for name in ways if name.startswith("replies"))
    return Part(
        [
            Table(
                "Import",
                ("", "replies a second (least to most)", "to the store"),
                rows,
                f"Files of {_replies(data):,} replies, with the start of the command, beside the "
                "store alone in batches of 1,000 on a copy of the same data. Transcripts tell no "
                "knowledge, and so have fewer usages.",
            )
        ],
        [
            at_least("import of replies, to the store's own rate", 0.8, best / medians[OURS]),
            *(
                at_least(
                    f"import of {file_format} with two workers, to one",
                    1,
                    medians[f"{file_format}, two workers"] / medians[f"{file_format}, one worker"],
                )
                for file_format in ("replies", "transcripts")
            ),
        ],
    )


_IMPORTED = 30_000


def _replies(data: Data) -> int:
    return min(_IMPORTED, data.workload.reply_count // 8)


def _new_replies(data: Data, name: str) -> Iterator[list[Reply]]:
    """The last replies of the workload under new ids, in batches of 1000."""
    stop = data.workload.reply_count
    for replies in data.workload.batches(stop - _replies(data), stop, 1000):
        yield [
            msgspec.structs.replace(reply, reply_id=f"{name}-{reply.reply_id}") for reply in replies
        ]


@contextmanager
def _import_file(
    folder: Path, data: Data, name: str, file_format: str = "replies"
) -> Iterator[Path]:
    """A file of new replies, or of new conversations, one on each line."""
    path = folder / f"import-{name}.ndjson"
    with path.open("wb") as file:
        for number, replies in enumerate(_new_replies(data, name)):
            lines: Iterable[object] = replies
            if file_format == "transcripts":
                lines = transcripts(_in_new_conversations(replies, f"{name}-{number}"))
            file.writelines(msgspec.json.encode(line) + b"\n" for line in lines)
    try:
        yield path
    finally:
        path.unlink()


def _in_new_conversations(replies: Sequence[Reply], name: str) -> list[Reply]:
    return [
        msgspec.structs.replace(reply, session_id=f"{name}-{reply.session_id}") for reply in replies
    ]


def _import_command(folder: Path, file: Path, file_format: str = "replies") -> list[str]:
    return [
        *(sys.executable, "-m", "applyrate", "import", str(file)),
        *("--format", file_format, "--data", str(folder), "--org", ORG, "--quiet"),
    ]


def child_that_listens(url: str) -> psutil.Process:
    """The process of ours that serves an address."""
    port = int(url.rpartition(":")[2])
    return next(
        child
        for child in psutil.Process().children(recursive=True)
        for connection in child.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
    )


def _resident(process: psutil.Process) -> int:
    """Its memory and that of the processes it started; none once it has ended."""
    try:
        return sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))
    except psutil.NoSuchProcess:
        return 0


def _ask_once(service: Service) -> None:
    send(service.url, iter([service.summary(HOT_SHARE)]), clients=1)


def _ask_much(service: Service) -> None:
    """Everything that a dashboard would ask, so that memory is what it is in use."""
    for share in (HOT_SHARE, MID_SHARE, COLD_SHARE):
        requests = (service.summary(share, window) for window in day_windows()[:500])
        send(service.url, requests, clients=4)
    targets = [
        f"/resource-usage/{resource_type}{window}"
        for resource_type in ResourceType
        for window in ("", *day_windows()[:10])
    ]
    requests = (request_of("GET", target, service.key) for target in targets)
    send(service.url, requests, clients=4)
