"""``applyrate migrate``: the tables of a cluster, made and brought up to this version."""

from applyrate.cli.failures import reporting_failure
from applyrate.cli.options import StoreAddress, use_store
from applyrate.cli.terminal import stdout
from applyrate.errors import InvalidInput
from applyrate.settings import load_settings


@reporting_failure
def migrate(*, store: StoreAddress = None) -> None:
    """Make the tables of a ClickHouse store, or bring them up to this version.

    On every node, each migration once; several may run it at the same time.
    """
    use_store(store)
    settings = load_settings()
    if settings.store is None:
        raise InvalidInput(
            "store: name a cluster with --store or APPLYRATE_STORE; the store in a data folder is"
            " brought up to this version whenever it is opened"
        )
    from applyrate.store.clickhouse.address import parse_address
    from applyrate.store.clickhouse.cluster import Cluster
    from applyrate.store.clickhouse.migrations import migrate as apply

    cluster = Cluster(parse_address(settings.store), settings.query_limits)
    try:
        applied = apply(cluster)
    finally:
        cluster.close()
    for name in applied:
        stdout().print(f"Applied {name}.", markup=False)
    if not applied:
        stdout().print("Nothing to do: every node has the tables of this version.")
