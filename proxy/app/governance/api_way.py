"""Attacks over HTTP: the real control API on the scratch database, asked by whoever should not.

What every route refuses to whom comes from the route table itself; the rest is a table of requests
that look right and are not.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import asyncpg
from aiohttp import web

from proxy.agents.router import OrchestratorRouter
from proxy.api.deps import ApiDeps
from proxy.api.facts import StoreFacts
from proxy.api.server import LINE_BYTES_MAX, ROUTES, build_app
from proxy.api.table import EVERY_ROLE, Route
from proxy.app.governance.report import Attempt
from proxy.app.governance.stage import Stage
from proxy.app.live import LiveStatus
from proxy.clock import SystemClock
from proxy.config import Config
from proxy.contract.base import API_PREFIX, CHANGE_HEADER
from proxy.healing.classifier import ErrorClassifier
from proxy.healing.rules import RuleSet
from proxy.healing.service import SelfHealingService
from proxy.store.pool import AS_PROXY, acting, open_pool

ANSWER_S = 20.0
IDS = {"J": "J-{job}", "P": "P-{patch_approved}", "A": "A-{ask_main}", "": ""}
KEY = "doctor-{n:08d}"


@dataclass(frozen=True, slots=True)
class Request:
    """``as_``: whose token, or a whole ``Authorization`` value; texts name facts:
    ``{digest_…}``.
    """

    attack: str
    as_: str
    method: str
    path: str
    refused_by: tuple[str, ...]
    body: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    form: bool = False


def _decision(**more: Any) -> dict[str, Any]:
    return {"decision": "approve", "digest": "{digest_passed}", "idempotency_key": "{key}"} | more


def _deed(name: str, **more: Any) -> dict[str, Any]:
    return {"digest": f"{{digest_{name}}}", "idempotency_key": "{key}"} | more


_MAIN = "/approvals/A-{ask_main}/decision"
_ZEROS = "0" * 64
_EVIDENCE = {"evidence_digest": "{evidence_passed}"}


def _post(attack: str, as_: str, path: str, refused_by: str, body: dict[str, Any]) -> Request:
    return Request(attack, as_, "POST", path, tuple(refused_by.split(", ")), body)


LOOKS_RIGHT: tuple[Request, ...] = (
    # --- another's right
    _post("say yes at gate main", "admin", _MAIN, "403 not_permitted", _decision(**_EVIDENCE)),
    _post("say yes to a claim", "admin", "/approvals/A-{ask_claim}/decision", "403 not_permitted",
          _decision(digest="{digest_claim}")),
    _post("say yes to an override", "admin", "/approvals/A-{ask_override}/decision",
          "403 not_permitted", _decision(digest="{digest_override}")),
    _post("say yes to a critical item", "admin", "/approvals/A-{ask_critical}/decision",
          "403 not_permitted", _decision(digest="{digest_critical}")),
    _post("pass gate sandbox with its switch off", "admin", "/patches/P-{patch_proposed}/sandbox",
          "403 not_permitted", _deed("proposed")),
    _post("pass gate sandbox through its item", "admin", "/approvals/A-{ask_sandbox}/decision",
          "403 not_permitted", _decision(digest="{digest_proposed}")),
    # --- something changed, or it is too late
    _post("approve another digest", "founder", _MAIN, "409 digest_changed",
          _decision(digest=_ZEROS)),
    _post("approve other evidence", "founder", _MAIN, "409 evidence_changed",
          _decision(evidence_digest=_ZEROS)),
    _post("approve what expired", "founder", "/approvals/A-{ask_expired}/decision", "409 expired",
          _decision(digest="{digest_expired}", evidence_digest="{evidence_expired}")),
    _post("decide what is decided", "founder", "/approvals/A-{ask_rejected}/decision",
          "409 already_decided", _decision(digest="{digest_rejected}")),
    _post("replay a decision's key on another item", "founder",
          "/approvals/A-{ask_claim}/decision", "409 key_reused",
          _decision(digest="{digest_claim}", idempotency_key="{used_key}")),
    _post("decide what nobody asked", "founder", "/approvals/A-99999999/decision", "404 not_found",
          _decision()),
    _post("a patch's id as an approval's", "founder", "/approvals/P-{patch_passed}/decision",
          "404 not_found", _decision()),
    _post("apply another digest", "founder", "/patches/P-{patch_approved}/apply",
          "409 digest_changed", _deed("approved", digest=_ZEROS)),
    _post("apply with other evidence", "founder", "/patches/P-{patch_approved}/apply",
          "409 evidence_changed", _deed("approved", evidence_digest=_ZEROS)),
    _post("apply what only passed", "founder", "/patches/P-{patch_passed}/apply",
          "409 gate_missing", _deed("passed")),
    _post("apply what was only proposed", "founder", "/patches/P-{patch_proposed}/apply",
          "409 gate_missing", _deed("proposed")),
    _post("roll back what was never applied", "founder", "/patches/P-{patch_approved}/rollback",
          "409 gate_missing", _deed("approved")),
    _post("run an approved patch again", "founder", "/patches/P-{patch_approved}/sandbox",
          "409 gate_missing", _deed("approved")),
    _post("break the glass for another digest", "founder",
          "/patches/P-{patch_proposed}/break-glass", "409 digest_changed",
          {"digest": _ZEROS, "idempotency_key": "{key}", "reason": "MAIN is down"}),
    _post("break the glass without a reason", "founder",
          "/patches/P-{patch_proposed}/break-glass", "422 invalid", _deed("proposed", reason="x")),
    _post("break the glass for what is applied", "founder",
          "/patches/P-{patch_applied}/break-glass", "409 gate_missing",
          _deed("applied", reason="MAIN is down")),
    _post("acknowledge what never was", "admin", "/alerts/acknowledge", "404 not_found",
          {"kind": "break_glass", "subject": "P-{patch_proposed}"}),
    # --- fields that are not the caller's
    _post("decide in the founder's role", "admin", _MAIN, "422 invalid",
          _decision(actor_role="founder", actor="ada")),
    _post("decide in the founder's role", "agent", _MAIN, "403 role_refused",
          _decision(actor_role="founder")),
    _post("decide without a key", "founder", _MAIN, "422 invalid",
          {"decision": "approve", "digest": "{digest_passed}"}),
    _post("decide without a digest", "founder", _MAIN, "422 invalid",
          {"decision": "approve", "idempotency_key": "{key}"}),
    _post("reject without a reason", "founder", _MAIN, "422 reason_missing",
          _decision(decision="reject")),
    _post("file gate main by hand", "agent", "/approvals", "422 invalid",
          {"item_type": "patch_main", "summary": "let me"}),
    _post("file an approved item", "agent", "/approvals", "422 invalid",
          {"item_type": "email", "summary": "s", "status": "approved"}),
    _post("attach an approved patch", "agent", "/jobs/J-{job}/patches", "422 invalid",
          {"diff": "--- a\n+++ b\n", "status": "approved"}),
    _post("attach a patch of low risk", "agent", "/jobs/J-{job}/patches", "422 invalid",
          {"diff": "--- a\n+++ b\n", "risk": {"score": 0, "level": "low"}}),
    _post("attach as the founder", "agent", "/jobs/J-{job}/patches", "422 invalid",
          {"diff": "--- a\n+++ b\n", "created_by": "ada"}),
    _post("attach a change of git's own files", "agent", "/jobs/J-{job}/patches",
          "422 git_path",
          {"diff": "--- a/.git/config\n+++ b/.git/config\n@@ -1 +1 @@\n-a\n+b\n"}),
    _post("mark a job applied", "founder", "/jobs/J-{job}/status", "422 invalid",
          {"status": "applied"}),
    # --- the founder's rules
    Request("rules from an old version", "founder", "PUT", "/control",
            ("409 changed", "409 digest_changed"),
            {"based_on": 4711, "rules": {}, "reason": "mine"}),
    Request("a rule that permits", "founder", "PUT", "/control", ("422 bad_rules",),
            {"based_on": 0, "reason": "mine",
             "rules": {"rules": [{"name": "x", "effect": "permit"}]}}),
    Request("a threshold that loosens", "founder", "PUT", "/control", ("422 bad_rules",),
            {"based_on": 0, "reason": "mine", "rules": {"thresholds": {"auto_risk_max": 100}}}),
    # --- tokens
    Request("the founder's name with an admin's secret", "Bearer ada:{secret_admin}", "GET",
            "/jobs", ("401 unauthorised",)),
    Request("the founder's name without a secret", "Bearer ada:", "GET", "/jobs",
            ("401 unauthorised",)),
    Request("a member without a profile", "removed", "GET", "/jobs", ("401 unauthorised",)),
    Request("the sidecar's own login", "Bearer sh_login_proxy:{secret_proxy}", "GET", "/jobs",
            ("401 unauthorised",)),
    Request("the stranger's login", "Bearer stranger:{secret_stranger}", "GET", "/jobs",
            ("401 unauthorised",)),
    Request("another scheme", "Basic {secret_founder}", "GET", "/jobs", ("401 unauthorised",)),
    Request("a token in the address", "", "GET", "/jobs?token={token_founder}",
            ("401 unauthorised",)),
    Request("a token in a cookie", "", "GET", "/jobs", ("401 unauthorised",),
            headers={"Cookie": "token={token_founder}"}),
    # --- headers that would speak for somebody
    *(
        Request(f"{name} speaks for the founder", "agent", "POST", _MAIN, ("403 role_refused",),
                _decision(**_EVIDENCE), {name: value})
        for name, value in (
            ("X-Forwarded-User", "ada"),
            ("X-Remote-User", "ada"),
            ("X-Role", "founder"),
            ("X-HTTP-Method-Override", "PUT"),
            ("request.jwt.claims", '{{"role":"founder"}}'),
        )
    ),
)  # fmt: skip


def at_every_door() -> Iterator[Request]:
    """Every route × whoever its row does not name, and the ways a web page could reach it."""
    for route in ROUTES:
        if not route.roles:
            continue
        path = route.path.replace("{n}", IDS[route.letter])
        name = f"{route.method} {route.path}"
        body: dict[str, Any] | None = {} if route.is_change else None

        def ask(
            how: str, as_: str, refused_by: str, *, form: bool = False,
            route: Route = route, path: str = path, name: str = name,
            body: dict[str, Any] | None = body, **headers: str,
        ) -> Request:  # fmt: skip
            full = path if route.bare else API_PREFIX + path
            sent = {key.replace("_", "-"): value for key, value in headers.items()}
            return Request(
                f"{name}: {how}", as_, route.method, full, (refused_by,), body, sent, form
            )

        yield ask("no token", "", "401 unauthorised")
        for role in sorted(EVERY_ROLE - route.roles):
            yield ask(f"as {role}", role, "403 role_refused")
        yield ask("a foreign Host", "founder", "403 host_refused", Host="evil.example")
        yield ask("a foreign Origin", "founder", "403 origin_refused", Origin="http://evil.example")
        if route.is_change:
            yield ask("a form", "founder", "415 not_json", form=True)


async def attack_by_api(stage: Stage) -> AsyncIterator[Attempt]:
    facts = _facts(stage)
    async with serving(stage) as (session, base):
        for number, request in enumerate((*at_every_door(), *LOOKS_RIGHT)):
            refused_by = await _send(session, base, request, facts | {"key": KEY.format(n=number)})
            held = refused_by in request.refused_by
            role = request.as_ if request.as_ in stage.scratch.tokens else "nobody"
            yield Attempt(role, "api", request.attack, refused_by, held, request.refused_by)


def _facts(stage: Stage) -> dict[str, str]:
    facts = {name: str(value) for name, value in stage.facts.items()}
    for role, token in stage.scratch.tokens.items():
        facts[f"token_{role}"], facts[f"secret_{role}"] = token, token.partition(":")[2]
    for role in ("proxy", "stranger"):
        facts[f"secret_{role}"] = stage.scratch.secret_of(role)
    return facts


async def _send(
    session: aiohttp.ClientSession, base: str, request: Request, facts: dict[str, str]
) -> str:
    """``status code``; ``nothing`` for an answer that is no refusal."""
    headers = {name: value.format_map(facts) for name, value in request.headers.items()}
    if request.as_:
        token = facts.get(f"token_{request.as_}")
        value = f"Bearer {token}" if token else request.as_.format_map(facts)
        headers["Authorization"] = value
    more: dict[str, Any] = {}
    if request.form:
        more["data"] = {"a": "b"}
    elif request.body is not None:
        headers[CHANGE_HEADER] = "1"
        more["json"] = _filled(request.body, facts)
    path = request.path.format_map(facts)
    url = base + (path if path.startswith((API_PREFIX, "/openapi")) else API_PREFIX + path)
    async with session.request(request.method, url, headers=headers, **more) as answer:
        if answer.status < 400:
            return "nothing"
        problem = await answer.json(content_type=None)
        return f"{answer.status} {problem.get('code')}"


def _filled(value: Any, facts: dict[str, str]) -> Any:
    if isinstance(value, str):
        return value.format_map(facts)
    if isinstance(value, dict):
        return {key: _filled(item, facts) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, facts) for item in value]
    return value


@asynccontextmanager
async def serving(stage: Stage) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    """The control API as the sidecar serves it, on a loopback port of its own."""
    scratch, clock = stage.scratch, SystemClock()
    config = Config.of({"database": {"schema": scratch.schema}})
    pool = await open_pool(scratch.proxy_dsn, schema=scratch.schema)

    @asynccontextmanager
    async def as_sidecar() -> AsyncIterator[asyncpg.Connection]:
        async with acting(pool, AS_PROXY) as conn:
            yield conn

    live = LiveStatus(config, clock, list, lambda: {"state": "ok"})
    classifier = ErrorClassifier(RuleSet.load())
    app = build_app(
        ApiDeps(
            config=config,
            pool_source=lambda: pool,
            member_dsn=lambda: scratch.proxy_dsn,
            live=live,
            service=SelfHealingService(as_sidecar, classifier, config),
            ask=OrchestratorRouter(StoreFacts(lambda: pool, live.health)),
            control_file=None,
            clock=clock,
        )
    )
    runner = web.AppRunner(
        app,
        access_log=None,
        auto_decompress=False,
        max_line_size=LINE_BYTES_MAX,
        shutdown_timeout=1.0,
    )
    try:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        timeout = aiohttp.ClientTimeout(total=ANSWER_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            yield session, f"http://{host}:{port}"
    finally:
        await runner.cleanup()
        await asyncio.wait_for(pool.close(), ANSWER_S)
