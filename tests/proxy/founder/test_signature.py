"""Signatures of the real ssh-keygen: what holds, and every single byte that breaks it."""

import base64
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from console.signing import sign, text_to_sign
from proxy.contract.patches import PatchView
from proxy.domain.failure import Severity
from proxy.domain.patch import (
    Patch,
    PatchStatus,
    PatchType,
    Risk,
    evidence_digest,
    patch_digest,
)
from proxy.errors import ConfigError, Conflict, Invalid, UsageError
from proxy.founder.signature import check, read_signers, signed_text, text_of
from proxy.founder.signed import check_before_apply, check_decision, signers_in
from proxy.store import approvals
from proxy.store.pool import AS_PROXY, acting
from tests.support.postgres import TestDatabase
from tests.support.store import ask_main, key, new_job, new_patch, run_sandbox

DIFF, BASE, EVIDENCE = "--- a\n+++ b\n", "c0ffee0", {"digest": "x", "passed": True}
PATCH = Patch(
    id=1, job_id=1, service="app", patch_type=PatchType.CODE, description="", diff=DIFF, sql=None,
    base_commit=BASE, files_changed=("a",), digest=patch_digest(BASE, DIFF, None),
    risk=Risk(5, Severity.LOW, ()), status=PatchStatus.SANDBOX_PASSED, evidence=EVIDENCE,
    evidence_digest=evidence_digest(EVIDENCE), created_by="bot",
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
)  # fmt: skip


class Keys:
    """Key pairs of the real program, and a signers file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.signers = folder / "signers"

    def make(self, name: str, kind: str = "ed25519") -> str:
        file = self.folder / f"{name}.{kind}"
        command = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", name, "-f", str(file)]
        subprocess.run(command, check=True, timeout=60)
        return str(file)

    def allow(self, *lines: str) -> str:
        self.signers.write_text("# who may sign\n\n" + "\n".join(lines) + "\n")
        return str(self.signers)

    def line(self, name: str, file: str, options: str = "") -> str:
        return f"{name} {options}{Path(file + '.pub').read_text()}"

    def sign(self, file: str, text: bytes, namespace: str = "selfheal-decision") -> str:
        command = ["ssh-keygen", "-q", "-Y", "sign", "-f", file, "-n", namespace]
        return subprocess.run(
            command, input=text, capture_output=True, check=True, timeout=60
        ).stdout.decode()


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    assert shutil.which("ssh-keygen"), "OpenSSH is needed here: apt-get install openssh-client"
    return Keys(tmp_path)


def shown(patch: Patch) -> PatchView:
    return PatchView.model_validate(
        {
            "id": f"P-{patch.id}", "job_id": f"J-{patch.job_id}", "patch_type": "code",
            "description": "", "status": "sandbox_passed", "digest": patch.digest,
            "evidence_digest": patch.evidence_digest, "created_by": "bot",
            "created_at": patch.created_at, "base_commit": patch.base_commit, "diff": patch.diff,
            "risk": {"score": 5, "level": "low"},
        }
    )  # fmt: skip


def test_console_and_sidecar_mean_the_same_text() -> None:
    for base in (BASE, None):
        patch = replace(PATCH, base_commit=base, digest=patch_digest(base, DIFF, None))
        assert text_to_sign(shown(patch)) == text_of(patch)


def test_the_founders_key_signs_for_the_founder_and_for_this_alone(keys: Keys) -> None:
    ada, eve = keys.make("ada"), keys.make("eve")
    path = keys.allow(keys.line("ada,boss", ada, 'namespaces="selfheal-decision" '))
    yes = sign(ada, shown(PATCH))
    check_decision(path, PATCH, "ada", yes)
    check_decision(path, PATCH, "boss", yes)
    for patch, name, signature in (
        (PATCH, "bob", yes),
        (PATCH, "ada", sign(eve, shown(PATCH))),
        (PATCH, "ada", keys.sign(ada, text_of(PATCH), "git")),
        (PATCH, "ada", keys.sign(ada, text_of(PATCH) + b"\n")),
        (replace(PATCH, diff=DIFF + "\n"), "ada", yes),
        (replace(PATCH, sql="select 1"), "ada", yes),
        (replace(PATCH, base_commit="c0ffee1"), "ada", yes),
        (replace(PATCH, evidence=EVIDENCE | {"passed": False}), "ada", yes),
        (replace(PATCH, evidence=None), "ada", yes),
        (PATCH, "ada", "-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----"),
        (PATCH, "ada", "yes"),
        (PATCH, "ada", yes * 40),
    ):
        with pytest.raises(Invalid) as refused:
            check_decision(path, patch, name, signature)
        assert refused.value.code == "signature_bad"
    with pytest.raises(Conflict) as missing:
        check_decision(path, PATCH, "ada", None)
    assert missing.value.code == "signature_missing"
    check_decision("", PATCH, "ada", None)
    keys.allow(keys.line("ada", eve))
    with pytest.raises(Invalid):
        check_decision(path, PATCH, "ada", yes)


def test_every_changed_byte_of_a_signature_shows(keys: Keys) -> None:
    ada = keys.make("ada")
    signers = signers_in(keys.allow(keys.line("ada", ada)))
    lines = keys.sign(ada, text_of(PATCH)).strip().splitlines()
    blob = base64.b64decode("".join(lines[1:-1]))
    for at in range(len(blob)):
        changed = bytearray(blob)
        changed[at] ^= 1
        armoured = "\n".join([lines[0], base64.b64encode(changed).decode(), lines[-1]])
        with pytest.raises(Invalid):
            check(armoured, text_of(PATCH), "ada", signers)
    for cut in range(0, len(blob), 7):
        armoured = "\n".join([lines[0], base64.b64encode(blob[:cut]).decode(), lines[-1]])
        with pytest.raises(Invalid):
            check(armoured, text_of(PATCH), "ada", signers)


@pytest.mark.parametrize(
    "line",
    [
        "ada",
        "ada ssh-ed25519",
        "ada ssh-ed25519 !!!!",
        "ada ssh-ed25519 AAAA",
        "* ssh-ed25519 AAAA",
        "ada cert-authority ssh-ed25519 AAAA",
        "ada valid-before=20200101 ssh-ed25519 AAAA",
    ],
)
def test_a_signers_file_that_cannot_be_kept_to_lets_nobody_in(keys: Keys, line: str) -> None:
    with pytest.raises(ConfigError):
        read_signers(line)
    with pytest.raises(ConfigError):
        check_decision(str(keys.folder / "nothing"), PATCH, "ada", "x")
    other_kind = keys.line("ada", keys.make("ada", "ecdsa"))
    with pytest.raises(ConfigError):
        read_signers(other_kind)


def test_ssh_keygens_refusal_is_a_sentence(keys: Keys) -> None:
    with pytest.raises(UsageError, match="did not sign"):
        sign(str(keys.folder / "nothing"), shown(PATCH))


async def test_a_stolen_database_approves_nothing(database: TestDatabase, keys: Keys) -> None:
    """With a superuser's means every row looks right; only what was signed is not what stands."""
    ada = keys.make("ada")
    path = keys.allow(keys.line("ada", ada))
    proxy, founder = await database.connect_proxy(), await database.connect_as("founder")
    patch = await run_sandbox(
        database, proxy, founder, await new_patch(proxy, await new_job(proxy))
    )
    asked = await ask_main(proxy, patch)
    async with acting(proxy, AS_PROXY) as conn:
        with pytest.raises(Conflict):
            await check_before_apply(conn, path, patch)
    async with acting(founder, database.actor("founder")) as conn:
        await approvals.decide(
            conn, asked.id, "approve", digest=patch.digest, evidence_digest=patch.evidence_digest,
            reason=None, idempotency_key=key(), signature=keys.sign(ada, text_of(patch)),
        )  # fmt: skip
    thief = await database.connect_installer()
    async with acting(proxy, AS_PROXY) as conn:
        await check_before_apply(conn, path, patch)
        for stolen in (
            replace(
                patch, diff="--- a\n+++ evil\n", digest=patch_digest(patch.base_commit, "x", None)
            ),
            replace(patch, evidence={"digest": patch.digest, "passed": True}),
        ):
            with pytest.raises(Invalid):
                await check_before_apply(conn, path, stolen)
    await thief.execute("alter table approval_decisions disable trigger user")
    await thief.execute("update approval_decisions set actor = 'eve'")
    async with acting(proxy, AS_PROXY) as conn:
        with pytest.raises(Invalid):
            await check_before_apply(conn, path, patch)
    for conn in (proxy, founder, thief):
        await conn.close()


def test_the_signed_text_is_one_line_of_canonical_json() -> None:
    assert signed_text("d", None, "e") == (
        b'{"base_commit":null,"digest":"d","evidence_digest":"e","gate":"main"}'
    )
