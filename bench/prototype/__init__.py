"""The design that was measured before the store was written, and what it asks of the store.

The store is held to the prototype's ratios to PostgreSQL, which hold on any machine, and where it
goes another way than the prototype did, to being so many times faster than that way.
"""
