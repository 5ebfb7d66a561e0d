"""llhttp beside our own reader: it sees every byte, and both must agree about every message.

Each alone was lenient somewhere; together neither can be fooled about where a message ends.
"""

from typing import Any

import httptools


class Judge:
    """llhttp over one message. ``complete`` says that it saw the end."""

    __slots__ = ("_parser", "complete")

    def __init__(self, *, response: bool = False) -> None:
        self.complete = False
        self._parser: Any = (
            httptools.HttpResponseParser if response else httptools.HttpRequestParser
        )(self)

    def on_message_complete(self) -> None:
        self.complete = True

    def feed(self, data: bytes) -> None:
        """Raise ``ValueError`` with llhttp's reason when it refuses ``data``."""
        if self._parser is None:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # llhttp leaves at an upgrade; our own reader is alone with what follows.
            self.retire()
        except httptools.HttpParserError as error:
            self.retire()
            raise ValueError(str(error) or "malformed") from None

    def retire(self) -> None:
        """Let go of the parser (it refers back to us), and believe our own reader about the
        rest.
        """
        self._parser = None
        self.complete = True

    @property
    def retired(self) -> bool:
        return self._parser is None
