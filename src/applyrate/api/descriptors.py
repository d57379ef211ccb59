"""File descriptors: each connection takes one, and a process may only have so many.

Where none is left the server could take no connection, nor the store open a file. So the limit of
the process is raised at the start as far as the machine lets it be, and connections are bounded by
what there is.
"""

import resource

from applyrate.observability.events import Event
from applyrate.observability.logs import tell

RESERVED_DESCRIPTORS = 256
"""So many are kept for the store's files and whatever else is no connection."""


def make_room_for_connections(wanted: int) -> int:
    """How many connections may be open, at most as many as wanted and at least one.

    Logs where that is fewer.
    """
    needed = wanted + RESERVED_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    possible = max(soft - RESERVED_DESCRIPTORS, 1)
    tell(Event.CONNECTIONS_BOUNDED, possible=possible, wanted=wanted, open_files=soft)
    return possible
