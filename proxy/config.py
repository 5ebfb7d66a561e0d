"""Settings: frozen sections, one per room; defaults < file < environment < flags, each value with
its origin.

``config/proxy.toml`` is the list of every setting with its reason; a test keeps the two equal.
"""

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from proxy.domain.failure import Category
from proxy.domain.peers import parse_network
from proxy.errors import ConfigError

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


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class App(Section):
    service: str = Field("app", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
    environment: str = Field("production", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")


class Listen(Section):
    data: str = "127.0.0.1:8080"
    control: str = "127.0.0.1:9900"
    workers: int = Field(1, ge=1, le=64)
    socket_mode: str = Field("0600", pattern=r"^0?[0-7]{3}$")
    tls_certificate: str = ""
    tls_key: str = ""

    @field_validator("data", "control")
    @classmethod
    def _address(cls, value: str) -> str:
        parse_address(value)
        return value


class Upstream(Section):
    url: str = ""
    ca_file: str = ""
    tls_name: str = ""
    tls_verify: bool = True
    connect_timeout_s: float = Field(5.0, gt=0)
    response_timeout_s: float = Field(60.0, gt=0)
    keepalive_s: float = Field(30.0, gt=0)
    pool_size: int = Field(256, ge=0)
    retry_idempotent: bool = True

    @field_validator("url")
    @classmethod
    def _url(cls, value: str) -> str:
        if not value:
            return value
        if unix_path(value):
            return value
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("an upstream is http://host:port, https://host:port or unix:/path")
        if parts.path not in ("", "/") or parts.query or parts.username:
            raise ValueError(
                "an upstream is scheme, host and port only; paths pass through as they come"
            )
        _ = parts.port  # raises ValueError when it is no port number
        return value


class Downstream(Section):
    header_timeout_s: float = Field(10.0, gt=0)
    body_idle_timeout_s: float = Field(30.0, gt=0)
    keepalive_timeout_s: float = Field(75.0, gt=0)
    header_bytes: int = Field(65536, ge=1024, le=1 << 20)
    header_count: int = Field(1000, ge=16, le=10000)
    drain_s: float = Field(30.0, ge=0)
    forwarded: Literal["off", "append", "replace"] = "off"
    trusted: tuple[str, ...] = ("127.0.0.0/8", "::1/128", "unix")
    connections: int = Field(20000, ge=1)
    buffer_bytes: int = Field(262144, ge=16384)

    @field_validator("trusted")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for word in value:
            if word != "unix":
                parse_network(word)
        return value


class Trace(Section):
    mode: Literal["keep", "start"] = "keep"


class Metrics(Section):
    buffer_size: int = Field(10000, ge=1)
    flush_s: float = Field(60.0, gt=0)
    copy_rows: int = Field(500, ge=1)
    spool_bytes: int = Field(67108864, ge=0)


class Detector(Section):
    latency_sigma: float = Field(3.0, gt=0)
    error_ratio: float = Field(5.0, gt=1)
    error_ratio_floor: float = Field(3.0, ge=1)
    dedup_s: float = Field(300.0, ge=0)
    deploy_header: str = Field("", pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]*$", max_length=100)
    enabled: bool = True


class CaptureSettings(Section):
    body_bytes: int = Field(16384, ge=0, le=1 << 20)
    redact_names: tuple[str, ...] = ()


class Ingest(Section):
    prefix: str = Field("/__selfheal", pattern=r"^(/[A-Za-z0-9._~-]+)+$")
    enabled: bool = True


class Repo(Section):
    path: str = ""
    main: str = Field("main", min_length=1)
    test: str = ""
    start: str = ""
    apply: Literal["merge", "branch"] = "merge"
    after_apply: str = ""
    bind_ro: tuple[str, ...] = ()
    share: tuple[str, ...] = (".venv", "node_modules")
    database_url: str = ""
    database_role: str = ""
    database_env: str = "DATABASE_URL"
    timeout_s: float = Field(120.0, gt=0)
    memory_mb: int = Field(2048, ge=64)
    verify_s: float = Field(60.0, gt=0)


class Healing(Section):
    storm_signatures: int = Field(100, ge=1, le=10000)
    storm_window_s: float = Field(300.0, gt=0, le=86400)
    jump_least: tuple[str, ...] = (
        "RLS_VIOLATION=3",
        "DB_ERROR=3",
        "API_SCHEMA=5",
        "AUTH_FAILURE=5",
        "other=20",
    )
    jump_ratio: float = Field(5.0, ge=1)
    blast_clients: int = Field(25, ge=2)
    blast_share: float = Field(0.05, gt=0, le=1)
    rules: str = ""

    @field_validator("jump_least")
    @classmethod
    def _jump_least(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for entry in value:
            name, _, number = entry.partition("=")
            if name not in _JUMP_NAMES or not number.isdigit() or int(number) < 1:
                raise ValueError(f"{entry!r}: write CATEGORY=N or other=N, N from 1")
        return value


_JUMP_NAMES = {*(category.value for category in Category), "other"}


class Founder(Section):
    auto_approve_sandbox: bool = False
    approval_days: float = Field(7.0, gt=0)
    signers: str = ""


_QUIET = re.compile(r"(?:(?:[01]\d|2[0-3]):[0-5]\d-(?:[01]\d|2[0-3]):[0-5]\d)?")


class Alerts(Section):
    warn_before_h: float = Field(24.0, gt=0)
    push: tuple[str, ...] = ()
    repeat_s: float = Field(900.0, ge=1)
    quiet_hours: str = ""
    console_url: str = ""

    @field_validator("quiet_hours")
    @classmethod
    def _hours(cls, value: str) -> str:
        if not _QUIET.fullmatch(value):
            raise ValueError("quiet hours are written 22:00-07:00, in UTC")
        return value


class Audit(Section):
    head_file: str = ""
    head_webhook: str = ""
    head_every_s: float = Field(60.0, gt=0)

    @field_validator("head_webhook")
    @classmethod
    def _webhook(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError("a webhook is http://… or https://…")
        return value


class Control(Section):
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()


class Database(Section):
    url: str = ""
    schema_: str = Field("selfheal", alias="schema", pattern=r"^[a-z_][a-z0-9_]{0,40}$")


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
    before, after = old.model_dump(by_alias=True), new.model_dump(by_alias=True)
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
    return Config.model_validate(after), tuple(waiting)


@dataclass(frozen=True, slots=True)
class Loaded:
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
        model = Config.model_fields.get(section)
        if not dot or model is None or name not in _keys(section):
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
        return Loaded(Config.model_validate(values), origins)
    except ValidationError as error:
        raise ConfigError(_explain(error, origins)) from None


def _said(problem: Mapping[str, Any]) -> str:
    """Without pydantic's own words in front of ours."""
    return str(problem["msg"]).removeprefix("Value error, ")


def _keys(section: str) -> dict[str, Any]:
    model = Config.model_fields[section].annotation
    assert model is not None
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{file}: no such file; --config takes a TOML file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: not valid TOML: {error}") from None


def _parse_text(section: str, name: str, text: str) -> Any:
    """Environment and flags carry text: lists are split on commas, the rest pydantic reads."""
    field = _keys(section).get(name) if section in Config.model_fields else None
    if field is not None and "tuple" in str(field.annotation):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    return text


def _explain(error: ValidationError, origins: Mapping[str, str]) -> str:
    lines = []
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"][:2])
        origin = origins.get(key, "default")
        lines.append(f"{origin}: {key} = {problem['input']!r}: {_said(problem)}")
    return "; ".join(lines)
