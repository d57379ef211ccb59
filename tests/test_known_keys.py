"""What a node knows of keys: no older than it says, and enough while the store is away."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from applyrate.api import known_keys
from applyrate.api.known_keys import KnownKeys
from applyrate.errors import Unavailable
from applyrate.keys import ApiKey, digest, issue_key
from applyrate.store.sqlite import SQLiteStore
from tests.nodes import wait_until

ORG = "acme"


class AwayStore(SQLiteStore):
    """The real store as if it were on another machine, which may be slow, or away."""

    is_remote = True

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.asked = 0
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.is_away = False
        self.fails_after_seconds = 0.0

    def find_key(self, digest: bytes) -> ApiKey | None:
        self.asked += 1
        found = super().find_key(digest)
        assert self.may_answer.wait(20)
        if self.is_away:
            time.sleep(self.fails_after_seconds)
            raise Unavailable("no route", retry_after_seconds=1)
        return found

    def new_key(self) -> bytes:
        key, kept = issue_key(ORG, "test", scopes=None, created_at=datetime.now(UTC))
        self.add_key(kept, digest(key))
        return digest(key)

    def revoke_all(self) -> str:
        for key in self.keys(ORG):
            self.revoke_key(ORG, key.key_id, datetime.now(UTC))
        return key.key_id


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AwayStore]:
    store = AwayStore(tmp_path / "applyrate.db")
    yield store
    store.may_answer.set()
    store.close()


def play(store: AwayStore, scene: Callable[[KnownKeys], Awaitable[None]]) -> None:
    async def run() -> None:
        keys = KnownKeys(store)
        try:
            await scene(keys)
        finally:
            store.may_answer.set()
            keys.close()
            await asyncio.sleep(0.05)  # for the last answers

    asyncio.run(run())


def is_valid(key: ApiKey | None) -> bool:
    assert key is not None
    return key.valid_at(datetime.now(UTC))


async def until_revoked(keys: KnownKeys, one: bytes) -> None:
    for _ in range(1_000):
        if not is_valid(await keys.find(one)):
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the key goes on")


def test_the_store_is_asked_once_for_a_while(store: AwayStore) -> None:
    one = store.new_key()

    async def scene(keys: KnownKeys) -> None:
        for _ in range(50):
            assert is_valid(await keys.find(one))
        await asyncio.gather(*(keys.find(one) for _ in range(50)))
        assert store.asked == 1

    play(store, scene)


def test_many_who_come_at_once_ask_once(store: AwayStore) -> None:
    one = store.new_key()

    async def scene(keys: KnownKeys) -> None:
        found = await asyncio.gather(*(keys.find(one) for _ in range(50)))
        assert all(map(is_valid, found))
        assert store.asked == 1

    play(store, scene)


def test_what_is_not_known_is_asked_each_time(store: AwayStore) -> None:
    async def scene(keys: KnownKeys) -> None:
        assert await keys.find(digest("later")) is None
        later = store.new_key()
        assert is_valid(await keys.find(later))

    play(store, scene)


def test_what_is_older_than_it_may_be_is_asked_before_it_is_used(
    store: AwayStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_keys, "REFRESH_SECONDS", 0.05)
    monkeypatch.setattr(known_keys, "MAX_AGE_SECONDS", 0.1)
    one = store.new_key()

    async def scene(keys: KnownKeys) -> None:
        assert is_valid(await keys.find(one))
        store.revoke_all()
        await asyncio.sleep(0.2)
        assert not is_valid(await keys.find(one))

    play(store, scene)


def test_what_is_asked_anew_keeps_nobody_waiting(
    store: AwayStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_keys, "REFRESH_SECONDS", 0.0)
    one = store.new_key()

    async def scene(keys: KnownKeys) -> None:
        assert is_valid(await keys.find(one))
        store.revoke_all()
        store.may_answer.clear()
        assert is_valid(await keys.find(one))
        store.may_answer.set()
        await until_revoked(keys, one)

    play(store, scene)


def test_an_answer_from_before_a_key_was_changed_here_is_not_kept(
    store: AwayStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_keys, "REFRESH_SECONDS", 0.0)
    one = store.new_key()

    async def scene(keys: KnownKeys) -> None:
        assert is_valid(await keys.find(one))
        store.may_answer.clear()
        assert is_valid(await keys.find(one))  # and asks, which is answered late
        await asyncio.to_thread(wait_until, lambda: store.asked == 2)
        keys.forget(store.revoke_all())
        finding = asyncio.ensure_future(keys.find(one))
        await asyncio.sleep(0.05)
        store.may_answer.set()
        assert not is_valid(await finding)
        assert not is_valid(await keys.find(one))

    play(store, scene)


@pytest.mark.parametrize("is_hanging", [True, False])
def test_while_the_store_is_away_the_known_go_on_and_no_others(
    store: AwayStore, monkeypatch: pytest.MonkeyPatch, *, is_hanging: bool
) -> None:
    monkeypatch.setattr(known_keys, "REFRESH_SECONDS", 0.0)
    monkeypatch.setattr(known_keys, "MAX_AGE_SECONDS", 0.0)
    monkeypatch.setattr(known_keys, "PATIENCE_SECONDS", 0.1)
    one, other = store.new_key(), store.new_key()

    async def scene(keys: KnownKeys) -> None:
        assert is_valid(await keys.find(one))
        store.is_away = True
        if is_hanging:
            store.may_answer.clear()
        for _ in range(20):
            assert is_valid(await keys.find(one))
        with pytest.raises(Unavailable):
            await keys.find(other)
        store.is_away = False
        store.may_answer.set()
        store.revoke_all()
        await until_revoked(keys, one)

    play(store, scene)


def test_a_store_that_fails_slowly_holds_up_few_of_the_known(
    store: AwayStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_keys, "REFRESH_SECONDS", 0.0)
    monkeypatch.setattr(known_keys, "MAX_AGE_SECONDS", 0.0)
    monkeypatch.setattr(known_keys, "RETRY_SECONDS", 0.0)
    one = store.new_key()

    async def scene(keys: KnownKeys) -> None:
        assert is_valid(await keys.find(one))
        store.is_away, store.fails_after_seconds = True, 0.5
        slow = 0
        for _ in range(40):
            began_at = time.monotonic()
            assert is_valid(await keys.find(one))
            slow += time.monotonic() - began_at > 0.4
            await asyncio.sleep(0.05)
        assert slow <= 2

    play(store, scene)
