"""Every bound of the ingest, by name. What comes in here was written by strangers."""

WIRE_BYTES_MAX = 1 << 20
"""A request body as it is sent. SDKs stay below 200 KiB."""
EXPANDED_BYTES_MAX = 8 << 20
"""The same body after decompression: 1 GiB of zeros is 809 bytes in brotli."""
EXPAND_STEP_BYTES = 1 << 16
EVENT_BYTES_MAX = 1 << 20
ITEMS_MAX = 100
"""Items of an envelope, or reports of one browser post."""
BODIES_MAX = 8
"""Bodies held at the same time; together they stay below 80 MiB."""
BODY_SECONDS_MAX = 10.0
INLINE_BYTES_MAX = 16 << 10
"""Larger or compressed bodies are read in a thread, so that forwarding never waits for them."""

MESSAGE_CHARS_MAX = 8192
STACK_CHARS_MAX = 16384
WORD_CHARS_MAX = 512
FRAMES_MAX = 50
CAUSES_MAX = 8
EVENT_AGE_S_MAX = 86400.0
"""An older event time is a wrong clock, not news; the time of arrival counts then."""
EVENT_AHEAD_S_MAX = 60.0
