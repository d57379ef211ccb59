"""Commits that writers share: a peer gets from us what its own clients would have to write."""

from collections.abc import Callable, Sequence
from threading import Lock

from applyrate.intake.group_commit import MAX_REPLIES_PER_COMMIT
from applyrate.usage import Reply

Record = Callable[[Sequence[Reply]], None]


class SharedRecording:
    """Records for many threads: what arrives during a commit shares the next one."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._waiting: list[_Batch] = []
        self._writing = Lock()

    def __call__(self, replies: Sequence[Reply]) -> None:
        """Record the replies, alone or with others'; they are on disk when it returns.

        Raises what recording them raised.
        """
        batch = _Batch(replies)
        self._waiting.append(batch)
        with self._writing:
            # Whoever comes to write writes what came before, too, until its own is among it.
            while not batch.done:
                self._write(self._take())
        if batch.failure:
            raise batch.failure

    def _write(self, batches: "Sequence[_Batch]") -> None:
        failure = None
        try:
            self._record([reply for batch in batches for reply in batch.replies])
        except Exception as error:  # noqa: BLE001 (each of them is told)
            failure = error
        for batch in batches:
            batch.done, batch.failure = True, failure

    def _take(self) -> "list[_Batch]":
        """What waits, as much as the store's own shared commits take; only the writer takes."""
        size = taken = 0
        for batch in self._waiting:
            size += len(batch.replies)
            if taken and size > MAX_REPLIES_PER_COMMIT:
                break
            taken += 1
        batches, self._waiting[:taken] = self._waiting[:taken], []
        return batches


class _Batch:
    def __init__(self, replies: Sequence[Reply]) -> None:
        self.replies = replies
        self.done = False
        self.failure: Exception | None = None
