"""What Portico says about itself: logs that hold no secret, and counters in memory.

Knows nothing of what is logged or counted. The audit trail is not here: it is a record, not a log (``audit``).
"""
