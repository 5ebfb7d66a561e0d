"""Who takes the steps of a lifecycle. The tables stand beside their nouns (``job``, ``patch``), and
again in Postgres as rows that triggers read and enforce; a test compares the two.
"""

Role = str
"""``proxy`` (the sidecar's own), ``founder``, ``admin``, ``agent``, ``viewer``."""
