"""Usages as they are exported: rows of NDJSON, CSV or Parquet, written as they come."""

from collections.abc import Sequence
from enum import StrEnum
from importlib import import_module
from typing import Any, Final, Protocol

import msgspec
from msgspec.structs import fields

from applyrate.csv_rows import encode_rows
from applyrate.errors import InvalidInput
from applyrate.usage import ResourceType, UsageKind, UsageRow

ROWS_IN_ROW_GROUP: Final = 65_536
"""A Parquet file is written, and later read, in groups of so many rows."""


class ExportFormat(StrEnum):
    """How the rows of an export are written."""

    NDJSON = "ndjson"
    CSV = "csv"
    PARQUET = "parquet"


class Encoder(Protocol):
    """Writes rows in one format, each part once the one before is written."""

    def encode(self, rows: Sequence[UsageRow]) -> bytes:
        """What is there to be written once these rows have come; it may be nothing yet."""
        ...

    def finish(self) -> bytes:
        """The rest, after the last row."""
        ...


def new_encoder(form: ExportFormat) -> Encoder:
    """An encoder for one export.

    Raises InvalidInput where the format needs a package that is not installed.
    """
    match form:
        case ExportFormat.NDJSON:
            return _Lines()
        case ExportFormat.CSV:
            return _Table()
        case ExportFormat.PARQUET:
            return _ColumnFile()


_COLUMNS: Final = tuple(field.name for field in fields(UsageRow))


class _Lines:
    def __init__(self) -> None:
        self._json = msgspec.json.Encoder()

    def encode(self, rows: Sequence[UsageRow]) -> bytes:
        return self._json.encode_lines(rows)

    def finish(self) -> bytes:
        return b""


class _Table:
    def __init__(self) -> None:
        self._head = encode_rows([_COLUMNS])

    def encode(self, rows: Sequence[UsageRow]) -> bytes:
        head, self._head = self._head, b""
        return head + encode_rows(map(msgspec.structs.astuple, rows))

    def finish(self) -> bytes:
        return self._head


class _ColumnFile:
    """An Apache Parquet file: its row groups as they are full, its footer at the end."""

    def __init__(self) -> None:
        try:
            self._arrow: Any = import_module("pyarrow")
            parquet: Any = import_module("pyarrow.parquet")
        except ImportError:
            raise InvalidInput(
                "format: parquet needs a package that the service lacks; install"
                " 'applyrate[server,parquet]' there, or ask for ndjson or csv"
            ) from None
        self._schema = _schema(self._arrow)
        self._written = _Written()
        self._writer = parquet.ParquetWriter(
            self._arrow.PythonFile(self._written, mode="w"), self._schema, compression="zstd"
        )
        self._waiting: list[UsageRow] = []

    def encode(self, rows: Sequence[UsageRow]) -> bytes:
        self._waiting += rows
        if len(self._waiting) >= ROWS_IN_ROW_GROUP:
            self._write_row_group()
        return self._written.take()

    def finish(self) -> bytes:
        if self._waiting:
            self._write_row_group()
        self._writer.close()
        return self._written.take()

    def _write_row_group(self) -> None:
        columns = zip(*map(msgspec.structs.astuple, self._waiting), strict=True)
        arrays = [
            self._arrow.array([*map(_plain, column)], field.type)
            for column, field in zip(columns, self._schema, strict=True)
        ]
        self._writer.write_table(self._arrow.Table.from_arrays(arrays, schema=self._schema))
        self._waiting.clear()


def _schema(arrow: Any) -> Any:
    """The columns: times in microseconds of UTC, the few values of a word as a dictionary."""
    word = arrow.dictionary(arrow.int8(), arrow.string())
    types = {
        "replied_at": arrow.timestamp("us", tz="UTC"),
        "resource_type": word,
        "usage": word,
        "count": arrow.int32(),
    }
    return arrow.schema(
        [arrow.field(name, types.get(name, arrow.string()), nullable=False) for name in _COLUMNS]
    )


def _plain(value: object) -> object:
    return value.value if isinstance(value, ResourceType | UsageKind) else value


class _Written:
    """A file that keeps what was written to it until it is taken."""

    closed = False

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._length = 0

    def write(self, piece: Any) -> int:
        self._pieces.append(bytes(piece))
        self._length += len(self._pieces[-1])
        return len(self._pieces[-1])

    def tell(self) -> int:
        return self._length

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    def take(self) -> bytes:
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken
