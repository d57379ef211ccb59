"""Limits that several services share: one Redis counts, and each service alone while it is away."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import httpx
import pytest
from redis import Redis

from applyrate.api.limits import Rate, RateLimits
from applyrate.api.shared_windows import SharedWindows
from applyrate.errors import InvalidInput
from applyrate.settings import Settings, load_settings
from tests.nodes import wait_until
from tests.redis_server import RedisServer, redis_server
from tests.servers import Server, running_server

T = TypeVar("T")


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


@contextmanager
def two_services(data: Path, redis: RedisServer, limit: int) -> Iterator[tuple[Server, Server]]:
    """Two processes on the same keys, one of which lets a key ask so often by itself."""
    settings = {"redis": redis.url, "standard_limit": limit, "metrics": "open"}
    with running_server(data, **settings) as one, running_server(data, **settings) as other:
        yield one, other


def uncounted(service: Server) -> float:
    """How many requests a service has counted alone."""
    text = httpx.get(f"{service.url}/metrics").text
    (line,) = [line for line in text.splitlines() if line.startswith("applyrate_limits_not_shared")]
    return float(line.split()[1])


def test_two_services_hold_one_limit_for_a_key(tmp_path: Path, redis: RedisServer) -> None:
    with two_services(tmp_path / "data", redis, limit=6) as (one, other):
        key = one.new_key(one.new_org())
        clients = [one.client(key=key), other.client(key=key)]
        told = [clients[number % 2].get("/keys") for number in range(6)]
        assert [answer.status_code for answer in told] == [200] * 6
        for left, answer in zip((5, 4, 3, 2, 1, 0), told, strict=True):
            assert answer.headers["ratelimit-policy"] == '"standard";q=6;w=60'
            assert answer.headers["ratelimit"].startswith(f'"standard";r={left};t=')
        for client in clients:
            refused = client.get("/keys")
            assert refused.status_code == 429
            assert 1 <= int(refused.headers["retry-after"]) <= 60
        stranger = other.client(one.new_org())
        assert stranger.get("/keys").headers["ratelimit"].startswith('"standard";r=5;')
        assert uncounted(one) == uncounted(other) == 0
        with Redis.from_url(redis.url) as asked:
            for name in asked.keys("*"):
                assert key.encode() not in name
                assert 0 < asked.pttl(name) <= 60_000


def test_without_redis_each_counts_alone_and_with_it_back_together_again(
    tmp_path: Path, redis: RedisServer
) -> None:
    with two_services(tmp_path / "data", redis, limit=4) as (one, other):
        key = one.new_key(one.new_org())
        here, there = one.client(key=key), other.client(key=key)
        assert [here.get("/keys").status_code for _ in range(3)] == [200] * 3
        redis.kill()
        # What it asked here counts on; there it has asked nothing yet.
        assert [here.get("/keys").status_code for _ in range(2)] == [200, 429]
        assert [there.get("/keys").status_code for _ in range(5)] == [200] * 4 + [429]
        assert uncounted(one) >= 2
        assert uncounted(other) >= 5
        redis.start()
        other_key = one.new_key(one.new_org())
        again = [one.client(key=other_key), other.client(key=other_key)]

        def are_counted_together() -> bool:
            before = uncounted(one) + uncounted(other)
            for client in again:
                client.get("/keys")
            return uncounted(one) + uncounted(other) == before

        wait_until(are_counted_together)
        third = one.new_key(one.new_org())
        clients = [one.client(key=third), other.client(key=third)]
        statuses = [clients[number % 2].get("/keys").status_code for number in range(6)]
        assert statuses == [200] * 4 + [429] * 2


def test_a_redis_that_hangs_holds_up_few_requests(tmp_path: Path, redis: RedisServer) -> None:
    with running_server(tmp_path / "data", redis=redis.url, standard_limit=1000) as service:
        client = service.client()
        assert client.get("/keys").status_code == 200
        redis.hang()
        began_at = time.monotonic()
        seconds: list[float] = []
        while time.monotonic() < began_at + 2:
            asked_at = time.monotonic()
            assert client.get("/keys").status_code == 200
            seconds.append(time.monotonic() - asked_at)
        slow = [one for one in seconds if one > 0.4]
        assert len(slow) <= 4  # one each second
        assert len(seconds) > 20


def test_the_shared_window_moves(redis: RedisServer) -> None:
    async def scene(windows: SharedWindows) -> None:
        async def spend() -> tuple[bool, int]:
            spent = await windows.spend("name", 2)
            assert spent is not None
            assert spent.reset_seconds == 1
            return spent.granted, spent.remaining

        assert await spend() == (True, 1)
        await asyncio.sleep(0.6)
        assert [await spend(), await spend()] == [(True, 0), (False, 0)]
        await asyncio.sleep(0.5)  # the first is out of the window now, the second may not be
        assert (await spend())[0]

    run(redis.url, scene)


def test_what_is_asked_at_the_same_time_is_granted_no_more_often(redis: RedisServer) -> None:
    async def scene(windows: SharedWindows) -> int:
        asked = await asyncio.gather(*(windows.spend("name", 20) for _ in range(100)))
        return sum(spent is not None and spent.granted for spent in asked)

    assert run(redis.url, scene, window_seconds=60) == 20


def run(
    url: str, scene: Callable[[SharedWindows], Awaitable[T]], *, window_seconds: float = 1
) -> T:
    async def play() -> T:
        windows = SharedWindows(url, window_seconds)
        try:
            return await scene(windows)
        finally:
            await windows.close()

    return asyncio.run(play())


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidInput, match="APPLYRATE_REDIS: 'localhost' "):
        load_settings({"APPLYRATE_REDIS": "localhost"})
    with pytest.raises(InvalidInput, match="APPLYRATE_REDIS"):
        RateLimits(Settings(redis="redis://localhost:port"))


def test_without_a_limit_redis_is_not_asked() -> None:
    limits = RateLimits(Settings(redis="redis://127.0.0.1:1", standard_limit=0))
    assert asyncio.run(limits.spend(Rate.STANDARD, "key")) is None
