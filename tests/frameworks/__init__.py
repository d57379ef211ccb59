"""Real agent frameworks, run as the pages in ``docs/frameworks`` show them.

Nothing stands in for anything but the model: the frameworks, their instrumentations and exporters,
the socket and the service are the real ones. ``python -m tests.frameworks`` writes what arrived and
what was counted into the pages.
"""
