"""One event as a failure, with the redactor that runs in production."""

from datetime import UTC, datetime

import pytest

from proxy.domain.redact import Redactor
from proxy.ingest.event import Context, event_failure

NOW = datetime(2026, 1, 2, tzinfo=UTC)
CONTEXT = Context("shop", "production", NOW, Redactor().text)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("shop@1.2.3", "shop@1.2.3"),
        ("@acme/shop@2.0.0-rc.1+7", "@acme/shop@2.0.0-rc.1+7"),
        ("6f1c2a9", "6f1c2a9"),
        ("", None),
    ],
)
def test_a_build_keeps_its_name(sent: str, kept: str | None) -> None:
    failure = event_failure({"message": "boom", "level": "error", "release": sent}, CONTEXT)
    assert failure is not None
    assert failure.release == kept


@pytest.mark.parametrize(
    "secret",
    ["ada@example.com", "sk_live_4eC39HqLyjWDarjtT1zdp7dc@1.0", "shop@1.0+ghp_" + "a1B2" * 9],
)
def test_what_only_looks_like_a_build_is_redacted(secret: str) -> None:
    failure = event_failure({"message": "boom", "level": "error", "release": secret}, CONTEXT)
    assert failure is not None
    assert failure.release != secret
