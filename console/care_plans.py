"""What care of jobs and alerts would do, as plans to be confirmed like any deed. Pure."""

from console.deeds import Plan
from console.format import count
from console.wording import ALERT_SAYS, sample_text
from proxy.contract.alerts import AlertView
from proxy.contract.jobs import FailureEvent, JobView


def plan_merge(kept: JobView, gone: JobView) -> Plan:
    return Plan(
        verb="merge",
        subject=kept.id,
        tier=2,
        typed="",
        digest="",
        evidence_digest=None,
        title=f"MERGE {gone.id} into {kept.id}",
        lines=(
            _about(kept) + "   stays",
            _about(gone) + f"   becomes part of {kept.id}",
            f"failures like both are one job from now on; `selfheal reopen {gone.id}` undoes it",
        ),
        touches=("jobs",),
    )


def plan_split(job: JobView, sample: FailureEvent) -> Plan:
    return Plan(
        verb="split",
        subject=job.id,
        tier=2,
        typed="",
        digest="",
        evidence_digest=None,
        title=f"SPLIT {job.id}",
        lines=(sample_text(sample), "what is like this sample is a job of its own from now on"),
        touches=("jobs",),
    )


def plan_acknowledge(alert: AlertView) -> Plan:
    """It cannot be taken back, and everybody stops being told: so it is asked."""
    return Plan(
        verb="acknowledge",
        subject=alert.subject,
        tier=2,
        typed="",
        digest="",
        evidence_digest=None,
        title=f"ACKNOWLEDGE {alert.subject}: {ALERT_SAYS[alert.kind]}",
        lines=(alert.summary, "nobody is told again; it decides nothing"),
        touches=("alerts",),
    )


def _about(job: JobView) -> str:
    return f"{job.id}  {job.method or ''} {job.route or ''}  {count(job.occurrences)}×".replace(
        "   ", "  "
    )
