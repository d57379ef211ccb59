"""Seen from outside: what the service tells of itself as metrics, log lines and spans."""
