"""The ids of documents, out of what a retrieval or a tool returned.

A document's id is its own, else that in its metadata, else its source without a file extension:
``policies/refunds.md`` is ``policies/refunds``. A source that is a URL stays whole.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from applyrate.intake.conventions.values import distinct, first_identifier, objects, parsed
from applyrate.intake.spans import Value

_IDS: Final = ("id", "document_id", "doc_id", "documentId", "id_", "node_id")
_SOURCES: Final = ("source", "file_name", "filename", "file_path", "path", "url", "uri")
_ARRAYS: Final = ("documents", "results", "sources", "items", "chunks")
_CONTENTS: Final = ("text", "content", "page_content", "snippet", "score")
_TRACES_OF_IDS: Final = ('"id', "_id", 'Id"', "Id\\")
# What frameworks put around what a tool returned.
_ENVELOPES: Final = ("output", "outputs", "result", "data", "kwargs", "content", "raw_output")
_MAX_DEPTH: Final = 5


def identify(document: Mapping[str, Value]) -> str | None:
    """The id of a document, by the rule above; None where nothing gives one."""
    own = first_identifier(document, _IDS)
    if own is not None:
        return own
    metadata = parsed(document.get("metadata"))
    described = metadata if isinstance(metadata, dict) else {}
    return first_identifier(described, _IDS) or _source(described) or _source(document)


def retrieved(value: Value) -> tuple[str, ...]:
    """The ids of what a retrieval returned: an array of documents, or an object that holds one."""
    return distinct(identify(document) for document in _documents(value))


def documents(value: Value) -> list[Mapping[str, Value]]:
    """The documents of what a retrieval returned."""
    return list(_documents(value))


def in_result(value: Value) -> tuple[str, ...]:
    """The ids of the documents in what a tool returned.

    Tools return anything. Objects in an array are documents where they have an id and something
    that a document has: a text, or a score.
    """
    # Most results are no documents, and need not be parsed to know it.
    if isinstance(value, str) and not any(trace in value for trace in _TRACES_OF_IDS):
        return ()
    return distinct(_in_result(value, _MAX_DEPTH))


def _documents(value: Value) -> Iterator[Mapping[str, Value]]:
    found = parsed(value)
    if isinstance(found, dict):
        held = next((found[name] for name in _ARRAYS if name in found), None)
        found = parsed(held)
    if isinstance(found, list | tuple):
        for item in objects(found):
            # Some retrievers return a document with its score around it.
            inner = item.get("document", item.get("node"))
            yield inner if isinstance(inner, dict) else item


def _in_result(value: Value, depth: int) -> Iterator[str | None]:
    found = parsed(value)
    if isinstance(found, list | tuple):
        for item in objects(found):
            if _is_document(item):
                yield first_identifier(item, _IDS)
    elif isinstance(found, dict) and depth:
        for name in _ARRAYS + _ENVELOPES:
            if name in found:
                yield from _in_result(found[name], depth - 1)


def _is_document(item: Mapping[str, Value]) -> bool:
    return "role" not in item and not item.keys().isdisjoint(_CONTENTS)


def _source(holder: Mapping[str, Value]) -> str | None:
    source = first_identifier(holder, _SOURCES)
    if source is None or "://" in source:
        return source
    return _EXTENSION.sub("", source)


_EXTENSION: Final = re.compile(r"(?<=[^/\\])\.[A-Za-z][A-Za-z0-9]{0,4}$")
