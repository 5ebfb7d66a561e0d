"""Settings: frozen sections, one per room; defaults < file < environment < flags, each value with
its origin.

``config/proxy.toml`` is the list of every setting with its reason; a test keeps the two equal.
"""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import unquote, urlsplit

from proxy.domain.failure import Category
from proxy.domain.peers import parse_network
from proxy.errors import ConfigError
from proxy.sections import Field, Section, SettingsError, setting

ENV_PREFIX = "SELFHEAL_"
_OTHER_ENV = {"SELFHEAL_URL", "SELFHEAL_TOKEN", "SELFHEAL_TOKEN_FILE", "SELFHEAL_DATA_DIR"}


def parse_address(text: str) -> tuple[str, int] | str:
    """``host:port`` → (host, port), ``unix:/path`` → the path. ``ValueError`` names what is
    accepted.
    """
    if text.startswith("unix:") and len(text) > 5:
        return text[5:]
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{text!r} is not host:port or unix:/path")
    return host.strip("[]") or "0.0.0.0", int(port)


def unix_path(url: str) -> str | None:
    """The socket's path of ``unix:/path`` and of ``http+unix://%2Fpath``; None for any other
    URL.
    """
    scheme, colon, rest = url.partition(":")
    if not colon or scheme not in ("unix", "http+unix"):
        return None
    path = unquote(rest.removeprefix("//").rstrip("/")) if scheme == "http+unix" else rest
    return path if path.startswith("/") and "\0" not in path else None


# --- what a value may be, beyond its kind and limits --------------------------------------------


def _address(value: str) -> None:
    parse_address(value)


def _upstream_url(value: str) -> None:
    if not value or unix_path(value):
        return
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("an upstream is http://host:port, https://host:port or unix:/path")
    if parts.path not in ("", "/") or parts.query or parts.username:
        raise ValueError(
            "an upstream is scheme, host and port only; paths pass through as they come"
        )
    _ = parts.port  # raises ValueError when it is no port number


def _networks(value: tuple[str, ...]) -> None:
    for word in value:
        if word != "unix":
            parse_network(word)


def _jump_least(value: tuple[str, ...]) -> None:
    for entry in value:
        name, _, number = entry.partition("=")
        if name not in _JUMP_NAMES or not number.isdigit() or int(number) < 1:
            raise ValueError(f"{entry!r}: write CATEGORY=N or other=N, N from 1")


def _webhook(value: str) -> None:
    parts = urlsplit(value)
    if value and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise ValueError("a webhook is http://… or https://…")


def _quiet_hours(value: str) -> None:
    if value and not re.fullmatch(f"{_HOUR}-{_HOUR}", value):
        raise ValueError("quiet hours are written 22:00-07:00, in UTC")


_JUMP_NAMES = {*(category.value for category in Category), "other"}
_HOUR = r"(?:[01]\d|2[0-3]):[0-5]\d"
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"


# --- the list ------------------------------------------------------------------------------------


class App(Section):
    service: str = setting("app", pattern=_NAME)
    environment: str = setting("production", pattern=_NAME)


class Listen(Section):
    data: str = setting("127.0.0.1:8080", check=_address)
    control: str = setting("127.0.0.1:9900", check=_address)
    workers: int = setting(1, at_least=1, at_most=64)
    socket_mode: str = setting("0600", pattern=r"0?[0-7]{3}")
    tls_certificate: str = ""
    tls_key: str = ""


class Upstream(Section):
    url: str = setting("", check=_upstream_url)
    ca_file: str = ""
    tls_name: str = ""
    tls_verify: bool = True
    connect_timeout_s: float = setting(5.0, above=0)
    response_timeout_s: float = setting(60.0, above=0)
    keepalive_s: float = setting(30.0, above=0)
    pool_size: int = setting(256, at_least=0)
    retry_idempotent: bool = True


class Downstream(Section):
    header_timeout_s: float = setting(10.0, above=0)
    body_idle_timeout_s: float = setting(30.0, above=0)
    keepalive_timeout_s: float = setting(75.0, above=0)
    header_bytes: int = setting(65536, at_least=1024, at_most=1 << 20)
    header_count: int = setting(1000, at_least=16, at_most=10000)
    drain_s: float = setting(30.0, at_least=0)
    forwarded: Literal["off", "append", "replace"] = "off"
    trusted: tuple[str, ...] = setting(("127.0.0.0/8", "::1/128", "unix"), check=_networks)
    connections: int = setting(20000, at_least=1)
    buffer_bytes: int = setting(262144, at_least=16384)


class Trace(Section):
    mode: Literal["keep", "start"] = "keep"


class Metrics(Section):
    buffer_size: int = setting(10000, at_least=1)
    flush_s: float = setting(60.0, above=0)
    copy_rows: int = setting(500, at_least=1)
    spool_bytes: int = setting(67108864, at_least=0)


class Detector(Section):
    latency_sigma: float = setting(3.0, above=0)
    error_ratio: float = setting(5.0, above=1)
    error_ratio_floor: float = setting(3.0, at_least=1)
    dedup_s: float = setting(300.0, at_least=0)
    deploy_header: str = setting("", pattern=r"[A-Za-z0-9!#$%&'*+.^_`|~-]{0,100}")
    enabled: bool = True


class CaptureSettings(Section):
    body_bytes: int = setting(16384, at_least=0, at_most=1 << 20)
    redact_names: tuple[str, ...] = ()


class Ingest(Section):
    prefix: str = setting("/__selfheal", pattern=r"(/[A-Za-z0-9._~-]+)+")
    enabled: bool = True


class Repo(Section):
    path: str = ""
    main: str = setting("main", pattern=r"(?s).+")
    test: str = ""
    start: str = ""
    apply: Literal["merge", "branch"] = "merge"
    after_apply: str = ""
    bind_ro: tuple[str, ...] = ()
    share: tuple[str, ...] = (".venv", "node_modules")
    database_url: str = ""
    database_role: str = ""
    database_env: str = "DATABASE_URL"
    timeout_s: float = setting(120.0, above=0)
    memory_mb: int = setting(2048, at_least=64)
    verify_s: float = setting(60.0, above=0)


class Healing(Section):
    storm_signatures: int = setting(100, at_least=1, at_most=10000)
    storm_window_s: float = setting(300.0, above=0, at_most=86400)
    jump_least: tuple[str, ...] = setting(
        (
            "RLS_VIOLATION=3",
            "DB_ERROR=3",
            "API_SCHEMA=5",
            "AUTH_FAILURE=5",
            "other=20",
        ),
        check=_jump_least,
    )
    jump_ratio: float = setting(5.0, at_least=1)
    blast_clients: int = setting(25, at_least=2)
    blast_share: float = setting(0.05, above=0, at_most=1)
    rules: str = ""


class Founder(Section):
    auto_approve_sandbox: bool = False
    approval_days: float = setting(7.0, above=0)
    signers: str = ""


class Alerts(Section):
    warn_before_h: float = setting(24.0, above=0)
    push: tuple[str, ...] = ()
    repeat_s: float = setting(900.0, at_least=1)
    quiet_hours: str = setting("", check=_quiet_hours)
    console_url: str = ""


class Audit(Section):
    head_file: str = ""
    head_webhook: str = setting("", check=_webhook)
    head_every_s: float = setting(60.0, above=0)


class Control(Section):
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()


class Database(Section):
    url: str = ""
    schema: str = setting("selfheal", pattern=r"[a-z_][a-z0-9_]{0,40}")


class Log(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"


class Config(Section):
    """Everything that is fixed until the next reload. A reload swaps in a new frozen one, whole
    or not at all.
    """

    app: App = App()
    listen: Listen = Listen()
    upstream: Upstream = Upstream()
    downstream: Downstream = Downstream()
    trace: Trace = Trace()
    metrics: Metrics = Metrics()
    detector: Detector = Detector()
    capture: CaptureSettings = CaptureSettings()
    ingest: Ingest = Ingest()
    repo: Repo = Repo()
    healing: Healing = Healing()
    founder: Founder = Founder()
    alerts: Alerts = Alerts()
    audit: Audit = Audit()
    control: Control = Control()
    database: Database = Database()
    log: Log = Log()


NEEDS_RESTART = (
    "app", "listen.data", "listen.control", "listen.workers", "listen.socket_mode",
    "detector", "ingest", "database",
    "metrics.buffer_size", "metrics.copy_rows", "metrics.spool_bytes",
)  # fmt: skip
"""Sections and keys that a running sidecar is built around; everything else a reload puts in force.
"""


_TLS_FILES = ("listen.tls_certificate", "listen.tls_key")
"""Other files, and new content, take effect at once; between plain and TLS lies a start."""


def reloaded(old: Config, new: Config) -> tuple[Config, tuple[str, ...]]:
    """``new`` with what only a start can change left as it is, and the changed keys that wait for
    one.
    """
    before, after = old.dump(), new.dump()
    was_tls, is_tls = bool(old.listen.tls_certificate), bool(new.listen.tls_certificate)
    waiting = []
    for section, values in after.items():
        for name, value in values.items():
            key = f"{section}.{name}"
            fixed = section in NEEDS_RESTART or key in NEEDS_RESTART
            if key in _TLS_FILES and was_tls != is_tls:
                fixed = True
            if fixed and value != before[section][name]:
                values[name] = before[section][name]
                waiting.append(key)
    return Config.of(after), tuple(waiting)


class Loaded(NamedTuple):
    """A configuration with the origin of every value that is not a default: ``section.key →
    origin``.
    """

    config: Config
    origins: Mapping[str, str]


_FLAG_OF = {
    "upstream.url": "--upstream",
    "listen.data": "--listen",
    "listen.control": "--control",
    "listen.workers": "--workers",
    "database.url": "--database-url",
    "app.service": "--service",
    "repo.path": "--repo",
}
"""How a setting is called on the command line of ``up``: what an error must name."""


def load(
    file: Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    sets: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
) -> Loaded:
    """Read and join all sources. ``sets`` are ``section.key=value``; ``flags`` map
    ``section.key`` to a value.

    Raises ``ConfigError`` with the key, its origin and what it takes.
    """
    values: dict[str, dict[str, Any]] = {}
    origins: dict[str, str] = {}

    def put(key: str, value: Any, origin: str) -> None:
        section, dot, name = key.partition(".")
        if not dot or name not in _settings(section):
            raise ConfigError(
                f"{origin}: there is no setting {key!r}; `selfheal config show` lists them"
            )
        values.setdefault(section, {})[name] = value
        origins[key] = origin

    if file is not None:
        for section, table in _read_toml(file).items():
            if not isinstance(table, dict):
                raise ConfigError(f"{file}: {section!r} must be a [section] of settings")
            for name, value in table.items():
                put(f"{section}.{name}", value, str(file))
    for variable, text in sorted((os.environ if environ is None else environ).items()):
        if variable.startswith(ENV_PREFIX) and "__" in variable and variable not in _OTHER_ENV:
            section, _, name = variable[len(ENV_PREFIX) :].lower().partition("__")
            put(f"{section}.{name}", _parse_text(section, name, text), variable)
    for item in sets:
        key, equals, text = item.partition("=")
        if not equals:
            raise ConfigError(f"--set {item!r}: write it as section.key=value")
        section, _, name = key.partition(".")
        put(key, _parse_text(section, name, text), "--set")
    for key, value in (flags or {}).items():
        if value is not None:
            put(key, value, _FLAG_OF.get(key, "--set"))
    try:
        return Loaded(Config.of(values), origins)
    except SettingsError as error:
        raise ConfigError(_explain(error, origins)) from None


def _settings(section: str) -> Mapping[str, Field]:
    field = Config.fields.get(section)
    return {} if field is None else field.kind.fields


def _read_toml(file: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{file}: no such file; --config takes a TOML file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: not valid TOML: {error}") from None


def _parse_text(section: str, name: str, text: str) -> Any:
    """Environment and flags carry text: lists are split on commas, the rest the setting reads."""
    field = _settings(section).get(name)
    if field is not None and field.is_list:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    return text


def _explain(error: SettingsError, origins: Mapping[str, str]) -> str:
    return "; ".join(
        f"{origins.get(p.key, 'default')}: {p.key} = {p.value!r}: {p.said}" for p in error.problems
    )
