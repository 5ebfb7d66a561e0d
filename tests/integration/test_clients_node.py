"""Node: its fetch, which is undici, with its connection pool, streams both ways, and its
WebSocket.
"""

import json
import os
from pathlib import Path
from typing import Any

from tests.support import clients
from tests.support.clients import Ways

FLAG = "--experimental-websocket"
SCRIPT = Path(clients.__file__).parent / "client_node.mjs"


def said(base: str, home: Path, flags: list[str]) -> list[Any]:
    words = (clients.program("node", "nodejs"), "--no-warnings", *flags, str(SCRIPT), base)
    answer: list[Any] = json.loads(clients.done(words, home, environ(home)))
    return answer


def environ(home: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(home)}


def websocket_flags(home: Path) -> list[str]:
    """Node 18 has no WebSocket, Node 20 with a flag, Node 22 as it is."""
    ask = f"process.allowedNodeEnvironmentFlags.has('{FLAG}')"
    known = clients.done((clients.program("node", "nodejs"), "-p", ask), home, environ(home))
    return [FLAG] if known == "true" else []


def test_node_sees_no_difference(ways: Ways, tmp_path: Path) -> None:
    flags = websocket_flags(tmp_path)
    direct = said(ways.direct, tmp_path, flags)
    assert said(ways.through, tmp_path, flags) == direct
    *_, broken_off, last, socket = direct
    assert broken_off == "AbortError"
    assert last[:2] == ["/text", 200]
    if socket is not None:
        assert (socket[0], socket[-1]) == ("echo hello shop", 1000)
