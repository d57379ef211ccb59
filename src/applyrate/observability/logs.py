"""The log: one event on each line, as text for a person or as JSON for a machine."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from applyrate.observability.context import REQUEST_ID
from applyrate.observability.events import Event
from applyrate.settings import Settings

_LOGGER: Final = logging.getLogger("applyrate.service")
_ACCESS_LOGGER: Final = logging.getLogger("applyrate.access")

_SILENT: Final = logging.NullHandler()


def tell(event: Event, error: BaseException | None = None, /, **fields: object) -> None:
    """Log an event with what it is about.

    ``error`` is logged with its traceback; where a sentence says enough of it, make it a field.
    """
    if is_told(event):
        extra = {"event": event, "fields": fields}
        _logger_of(event).log(event.level, "%s", event.sentence, exc_info=error, extra=extra)


def is_told(event: Event) -> bool:
    """Whether an event is logged, as logging is set up."""
    return _logger_of(event).isEnabledFor(event.level)


def _logger_of(event: Event) -> logging.Logger:
    return _ACCESS_LOGGER if event is Event.REQUEST_ANSWERED else _LOGGER


def keep_silent() -> None:
    """Log nothing where nobody set logging up: a command says what it has to say by itself."""
    if _SILENT not in _LOGGER.handlers:
        _LOGGER.addHandler(_SILENT)


def describe_logging(settings: Settings) -> dict[str, Any]:
    """How the settings want it logged, as ``logging.config.dictConfig`` takes it."""
    formatter = JsonFormatter if settings.log_format == "json" else TextFormatter
    level = settings.log_level.upper()
    library_level = "ERROR" if settings.log_level == "error" else "WARNING"

    def to_stderr(level: str) -> dict[str, object]:
        return {"handlers": ["stderr"], "level": level, "propagate": False}

    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": formatter}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "line",
                "stream": "ext://sys.stderr",
            }
        },
        "loggers": {
            "applyrate": to_stderr(level),
            _ACCESS_LOGGER.name: to_stderr("INFO" if settings.access_log == "on" else "CRITICAL"),
            "asyncio": to_stderr(library_level),
            "opentelemetry": to_stderr(library_level),
            "_granian": to_stderr("ERROR"),
        },
    }


class JsonFormatter(logging.Formatter):
    """A line as a JSON object: what every line has first, then the event's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        entry: dict[str, object] = {
            "at": _time(record),
            "level": record.levelname.lower(),
            "event": _event(record).label,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return _ENCODE(entry).decode()


class TextFormatter(logging.Formatter):
    """A line as a person reads it, with the traceback below."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        told = " ".join(f"{name}={_show(value)}" for name, value in _fields(record).items())
        line = f"{_time(record)} {record.levelname} {_event(record).label}: {record.getMessage()}"
        line += f" ({told})" if told else ""
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _event(record: logging.LogRecord) -> Event:
    event: Event = getattr(record, "event", Event.LIBRARY_MESSAGE)
    return event


def _fields(record: logging.LogRecord) -> Mapping[str, object]:
    fields: Mapping[str, object] = getattr(record, "fields", {"logger": record.name})
    request_id = REQUEST_ID.get()
    return fields if request_id is None else {"request_id": request_id, **fields}


def _time(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _show(value: object) -> str:
    """A value on its line: quoted where it could be taken for something else."""
    text = str(value)
    is_plain = text.isprintable() and text and not any(sign in text for sign in " ='\"()")
    return text if is_plain else repr(text)


_ENCODE: Final = msgspec.json.Encoder(enc_hook=str).encode
