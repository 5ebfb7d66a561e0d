"""What was found on a route as the anomaly that is told. Values and words only; decides nothing."""

from proxy.domain.anomaly import Anomaly
from proxy.observability.failures import Failing
from proxy.observability.incident import severity_of
from proxy.observability.latency import Slow
from proxy.observability.sentences import Known, error_sentence, latency_sentence


def failing_anomaly(
    method: str, route: str, found: Failing, known: Known, now: float, words: str
) -> Anomaly:
    """``words`` end the sentence: the release before it, if there was one."""
    ratio = found.observed / found.usual
    sentence = error_sentence(
        method,
        route,
        found.since,
        found.observed,
        found.sigma,
        found.requests,
        found.errors,
        known,
        found.alike,
    )
    return Anomaly(
        kind="error_rate",
        method=method,
        route=route,
        onset=found.since,
        detected_at=now,
        baseline=found.usual,
        observed=found.observed,
        ratio=ratio,
        sigma=found.sigma,
        samples=found.requests,
        severity=severity_of("error_rate", ratio, found.observed, found.per_minute),
        explanation=sentence + words,
    )


def slow_anomaly(
    method: str, route: str, found: Slow, known: Known, now: float, words: str
) -> Anomaly:
    """The same for durations, in ms."""
    ratio = found.observed / found.baseline
    per_minute = 60.0 * found.samples / max(10.0, now - found.since)
    sentence = latency_sentence(
        method,
        route,
        found.since,
        found.observed,
        found.baseline,
        found.sigma,
        found.samples,
        found.what,
        known,
    )
    return Anomaly(
        kind="latency",
        method=method,
        route=route,
        onset=found.since,
        detected_at=now,
        baseline=found.baseline,
        observed=found.observed,
        ratio=ratio,
        sigma=found.sigma,
        samples=found.samples,
        severity=severity_of("latency", ratio, found.observed, per_minute),
        explanation=sentence + words,
    )
