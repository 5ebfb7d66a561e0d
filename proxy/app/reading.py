"""What reads a failing exchange, for a data worker and for an app watched from inside. Heavy: a
worker imports it after its first byte.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from proxy.app.failures import FailureDesk, Reader
from proxy.config import Config
from proxy.domain.exchange import Exchange
from proxy.domain.failure import Failure
from proxy.domain.redact import Redactor
from proxy.healing.classifier import ErrorClassifier
from proxy.healing.extract import failure_from_exchange
from proxy.healing.intake import Intake
from proxy.healing.live_rules import LiveRules
from proxy.healing.rules import RuleSet


def reading(
    config: Config,
    desk: FailureDesk,
    rules: RuleSet,
    intake: Intake,
    redactor: Callable[[], Redactor],
    client: Callable[[str], str | None],
) -> tuple[Reader, LiveRules]:
    """The desk's reader, and what keeps its rules those of the file; ``redactor`` is asked each
    time, because a reload makes another. ``client`` keys an address.
    """
    app = config.app

    def read(exchange: Exchange, log_id: UUID) -> Failure:
        failure = failure_from_exchange(
            exchange,
            service=app.service,
            environment=app.environment,
            log_id=log_id,
            occurred_at=datetime.fromtimestamp(exchange.started_at, UTC),
            redactor=redactor(),
        )
        return replace(failure, client=client(exchange.client))

    classifier = ErrorClassifier(rules)
    live = LiveRules(classifier, config.healing.rules, desk.forget)
    return Reader(read, classifier, intake, client), live
