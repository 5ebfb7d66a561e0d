"""Where the sidecar is and who asks: flags, then environment, then the data directory. Knows no
HTTP.

The founder's copy of the token is offered only to this machine: an address on another host gets a
token that was named for it, never one that merely lay around.
"""

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from proxy.errors import NotPermitted, Unavailable, UsageError
from proxy.visible import visible

TOKEN_BYTES_MAX = 4096


def default_data_dir(environ: Mapping[str, str]) -> Path:
    """``SELFHEAL_DATA_DIR``, else ``$XDG_DATA_HOME/selfheal``, else ``~/.local/share/selfheal``."""
    if explicit := environ.get("SELFHEAL_DATA_DIR"):
        return Path(explicit)
    base = environ.get("XDG_DATA_HOME") or os.path.join(environ.get("HOME", "/"), ".local/share")
    return Path(base) / "selfheal"


def find_connection(
    url: str | None = None,
    token_file: str | Path | None = None,
    data_dir: str | Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> tuple[str, str]:
    """The control API's address (no slash at its end) and the token.

    ``UsageError`` for an address that is none, ``Unavailable`` when no sidecar is named anywhere,
    ``NotPermitted`` when no token is.
    """
    env = os.environ if environ is None else environ
    home = Path(data_dir) if data_dir else default_data_dir(env)
    address = checked_url(url or env.get("SELFHEAL_URL") or _control_url(home))
    return address, _token(address, token_file, home, env)


def checked_url(text: str) -> str:
    """``http(s)://host[:port]`` without the slash at its end."""
    if not _is_address(text.strip()):
        raise UsageError(
            f"{visible(text)!r} is no address of a control API; write --url http://127.0.0.1:9900"
        )
    return text.strip().rstrip("/")


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port != 0
            and parts.username is None
            and not (parts.query or parts.fragment)
        )
    except ValueError:
        return False


def is_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _control_url(home: Path) -> str:
    text = _read(home / "control.url")
    if text:
        return text
    raise Unavailable(
        f"no sidecar is running for {visible(str(home))}; start one with "
        "`selfheal up --upstream URL`, or name it with --url or --data-dir"
    )


def _token(url: str, token_file: str | Path | None, home: Path, environ: Mapping[str, str]) -> str:
    if token_file is not None:
        text = _read(Path(token_file))
        if text is None:
            raise NotPermitted(f"the token file {visible(str(token_file))} cannot be read")
        return _checked_token(text, str(token_file))
    if given := environ.get("SELFHEAL_TOKEN"):
        return _checked_token(given, "SELFHEAL_TOKEN")
    if not is_this_machine(url):
        raise NotPermitted(
            f"{visible(url)} is another machine: give its token with --token-file or SELFHEAL_TOKEN"
        )
    text = _read(home / "founder.token")
    if text is None:
        raise NotPermitted(
            f"no token: {visible(str(home / 'founder.token'))} is not there or not yours to read; "
            "give one with --token-file or SELFHEAL_TOKEN"
        )
    return _checked_token(text, str(home / "founder.token"))


def _checked_token(text: str, origin: str) -> str:
    token = text.strip()
    name, colon, secret = token.partition(":")
    if not (name and colon and secret and token.isascii() and token.isprintable()):
        raise NotPermitted(f"{visible(origin)} holds no token; a token reads name:secret")
    return token


def _read(path: Path) -> str | None:
    """The file's text, at most ``TOKEN_BYTES_MAX`` of it; None when there is nothing to read."""
    try:
        with path.open("rb") as file:
            return file.read(TOKEN_BYTES_MAX).decode("utf-8", "replace").strip() or None
    except OSError:
        return None
