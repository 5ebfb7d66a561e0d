"""A failing exchange as both the worker and a watched app read it."""

from uuid import UUID

from proxy.app.failures import FailureDesk
from proxy.app.reading import reading
from proxy.config import Config
from proxy.domain.exchange import Capture, Exchange, Outcome
from proxy.domain.redact import Redactor
from proxy.healing.intake import Intake
from proxy.healing.rules import RuleSet


def never() -> object:
    raise AssertionError("nothing is stored here")


def test_it_names_the_service_keys_the_client_and_redacts_as_the_last_reload_wants() -> None:
    config = Config.of({"app": {"service": "shop", "environment": "staging"}})
    redactors = [Redactor(())]
    intake = Intake(never, settings=config.healing)  # type: ignore[arg-type]  # never connected
    desk = FailureDesk("shop", "staging")
    reader, live = reading(
        config, desk, RuleSet.load(), intake, lambda: redactors[-1], lambda who: f"#{who}"
    )
    body = b'{"error": "boom", "shoe_size": "forty-two"}'
    capture = Capture([], response_headers=[(b"content-type", b"application/json")])
    capture.response_body = body
    failing = Exchange(
        60.0, 5.0, "GET", b"/x", 500, Outcome.ANSWERED, capture=capture, client="10.0.0.1"
    )
    first = reader.read(failing, UUID(int=1))
    assert (first.service, first.environment, first.client) == ("shop", "staging", "#10.0.0.1")
    assert (first.log_id, first.occurred_at.timestamp()) == (UUID(int=1), 60.0)
    assert "forty-two" in str(first)
    redactors.append(Redactor(("shoe_size",)))
    assert "forty-two" not in str(reader.read(failing, UUID(int=2)))
    assert live.path == config.healing.rules
