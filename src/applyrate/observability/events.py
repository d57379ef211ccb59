"""Every event that the service logs: its name, its level and what happened in a sentence.

A line says with fields what the event is about. None of them holds a key, and the address of a
request is told as its route, without the ids in it.
"""

import logging
from enum import Enum


class Event(Enum):
    """One thing that can happen. Its name in the log is the member's, in small letters."""

    SERVICE_STARTED = (logging.INFO, "the service answers requests")
    SERVICE_STOPPING = (logging.INFO, "the service was told to stop and takes no new requests")
    SERVICE_STOPPED = (logging.INFO, "what was accepted is finished")

    REQUEST_ANSWERED = (logging.INFO, "a request was answered")
    REQUEST_FAILED = (logging.ERROR, "a request failed in a way that nobody expected")
    LIMITS_NOT_SHARED = (logging.ERROR, "Redis is away, and each machine counts the limits alone")
    LIMITS_SHARED = (logging.WARNING, "the limits are counted in Redis again")
    LIMIT_HIT = (logging.INFO, "a request was refused by a limit")

    CONNECTIONS_BOUNDED = (logging.WARNING, "fewer connections can be open than are wanted")

    PART_NOT_READY = (logging.WARNING, "a part of the service is not ready")
    PART_READY = (logging.WARNING, "a part of the service is ready again")
    FILE_UNUSABLE = (
        logging.ERROR,
        "a file of the data cannot be used now",
    )
    FILE_USABLE = (logging.WARNING, "a file of the data can be used again")
    JOURNAL_NOT_WRITTEN = (logging.ERROR, "what arrived lately cannot be noted in the inbox")

    DERIVATION_FAILING = (logging.ERROR, "no reply can be derived from traces now; it is retried")
    TRACE_NOT_ASSEMBLED = (logging.ERROR, "a trace cannot be assembled and is set aside")
    TRACE_NOT_RECORDED = (logging.ERROR, "a trace's replies cannot be recorded; it is set aside")
    SPAN_PROCESSES_LOST = (logging.WARNING, "the processes that decode spans ended; threads do it")

    DELIVERY_FAILING = (logging.ERROR, "replies cannot be brought to the store now; it is retried")
    DELIVERY_RESUMED = (logging.WARNING, "the store takes replies again")
    DELIVERY_REFUSED = (logging.ERROR, "the store refuses something for good; it is set aside")

    REPLIES_EXPIRED = (logging.INFO, "replies that were older than is kept are removed")
    REMOVAL_FAILING = (logging.ERROR, "what is to be removed cannot be removed now; it is retried")

    KEYS_UNREADABLE = (logging.ERROR, "the store cannot be asked for keys; known ones go on")
    KEY_USES_NOT_WRITTEN = (logging.ERROR, "the times of the keys' last use cannot be written")
    JWKS_UNREADABLE = (logging.WARNING, "the keys that tokens are signed with cannot be read")
    JWKS_KEY_LEFT_OUT = (logging.WARNING, "a key of the JWKS cannot be used")

    CHANGES_UNREADABLE = (logging.ERROR, "what changed cannot be read for the streams")
    STREAM_CHECK_FAILED = (logging.ERROR, "it cannot be checked who may read a stream")
    STREAM_BROKEN = (logging.ERROR, "a stream breaks off")

    TRACING_STARTED = (logging.INFO, "spans of requests are exported")
    TRACING_UNAVAILABLE = (logging.WARNING, "spans of requests cannot be exported")

    LIBRARY_MESSAGE = (logging.WARNING, "a library that the service uses says something")

    def __init__(self, level: int, sentence: str) -> None:
        self.level = level
        self.sentence = sentence

    @property
    def label(self) -> str:
        """Its name in the log."""
        return self.name.lower()
