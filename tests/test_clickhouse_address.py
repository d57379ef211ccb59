"""Addresses of ClickHouse stores are read, or refused with a sentence that says what is wrong."""

import pytest

from applyrate.errors import InvalidInput
from applyrate.store.clickhouse.address import Address, Host, parse_address


def test_an_address_names_hosts_user_database_and_cluster() -> None:
    text = "clickhouse://app:p%40ss%2Fword@one:9000,two,[::1]:8124/usage?cluster=main&replicated=1"
    assert parse_address(text) == Address(
        hosts=(Host("one", 9000), Host("two", 8123), Host("::1", 8124)),
        database="usage",
        user="app",
        password="p@ss/word",
        cluster="main",
        replicated=True,
    )
    assert parse_address("clickhouses://one/usage") == Address(
        hosts=(Host("one", 8443),), database="usage", tls=True
    )


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("postgres://secret@one/usage", "it begins with clickhouse://"),
        ("clickhouse://one", "the database '' is not a name"),
        ("clickhouse://one/a-b", "the database 'a-b' is not a name"),
        ("clickhouse://a:secret@:8123/usage", "':8123' is not a host"),
        ("clickhouse:///usage", "'' is not a host"),
        ("clickhouse://one:http/usage", "'http' is not a port"),
        ("clickhouse://one:99999/usage", "'99999' is not a port"),
        ("clickhouse://a:secret@one,two/usage", "several hosts are the nodes of a cluster"),
        ("clickhouse://one,one/usage?cluster=main", "a host stands there twice"),
        ("clickhouse://one/usage?cluster=a-b", "cluster='a-b' is not a name"),
        ("clickhouse://one/usage?shards=2", "'shards' is not one of its options"),
        ("clickhouse://one/usage?cluster=a&cluster=b", "an option stands there twice"),
        ("clickhouse://one/usage?cluster=a&replicated=yes", "replicated='yes' is neither"),
        ("clickhouse://[::1/usage", "IPv6"),
    ],
)
def test_what_is_wrong_with_an_address_is_told_without_its_password(text: str, rule: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_address(text)
    assert rule in refused.value.message
    assert "clickhouse://user:password@host:8123,host2:8123/database" in refused.value.message
    assert "secret" not in refused.value.message
