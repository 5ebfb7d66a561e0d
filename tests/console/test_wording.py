"""Facts as a person would say them."""

from console.proof import against_lines
from console.screens.approvals import detail_lines
from console.screens.health import traffic_lines
from console.wording import (
    because,
    bug_text,
    in_words,
    incident_text,
    item_text,
    over_text,
    reach_text,
    step_text,
    traffic_text,
)
from tests.support import console_facts as facts
from tests.support.console_server import proven


def test_a_bug_is_named_without_its_category() -> None:
    job = facts.job(1, category="DB_ERROR", signature_text="DB_ERROR | duplicate key | in a.py")
    assert bug_text(job) == "duplicate key | in a.py"
    assert bug_text(facts.job(1, signature_text="other")) == "other"


def test_a_route_in_it_keeps_its_capitals() -> None:
    job = facts.job(
        1, category="PERFORMANCE", method="GET", route="/Orders/{id}",
        signature_text="PERFORMANCE | get /orders/{id} takes longer than usual",
    )  # fmt: skip
    assert bug_text(job) == "GET /Orders/{id} takes longer than usual"


def test_an_item_is_named_without_what_stands_beside_it() -> None:
    item = facts.approval(5, summary="P-3 for J-7 at gate sandbox: Free: by e-mail")
    assert item_text(item) == "Free: by e-mail"
    assert item_text(facts.approval(5, summary="Send it: now")) == "Send it: now"


def test_an_incident_says_whether_it_goes_on() -> None:
    (incident,) = facts.anomalies()
    said = "6.2% errors against 0.4% usual"
    assert incident_text(incident) == f"{said} It goes on."
    over = incident.model_copy(update={"resolved": True})
    assert incident_text(over) == f"{said} It is over."
    ended = over.model_copy(update={"resolved_at": facts.NOW})
    assert incident_text(ended) == f"{said} It ended at {facts.NOW:%Y-%m-%d %H:%M} UTC."


def test_what_is_over_is_told_in_the_past() -> None:
    (incident,) = facts.anomalies()
    told = (
        "Since 14:03 everything takes 1.8 times as long: 4 of 4 routes. First GET /fails/{id} "
        "takes 36 ms instead of 20 ms (1.8x). It began 3 min after release v42."
    )
    goes_on = incident.model_copy(update={"description": told})
    assert told in incident_text(goes_on)
    said = incident_text(goes_on.model_copy(update={"resolved": True}))
    assert said == told.replace(" takes ", " took ") + " It is over."
    fails = goes_on.model_copy(
        update={"resolved": True, "description": "Since 14:03 GET /x fails 50.0% of the time (…)."}
    )
    assert incident_text(fails).startswith("Since 14:03 GET /x failed 50.0% of the time (…).")


def test_a_level_that_stayed_has_not_ended() -> None:
    (incident,) = facts.anomalies()
    over = {"resolved": True, "resolved_at": facts.NOW}
    said = {
        how: incident_text(incident.model_copy(update={**over, "ended": how}))
        for how in ("new_normal", "silent", "unwatched")
    }
    assert not any("ended" in text for text in said.values())
    assert "counted as usual" in said["new_normal"]
    assert "no requests" in said["silent"]
    assert "no sidecar" in said["unwatched"]


def test_a_job_says_that_its_incident_is_over_and_that_it_stays() -> None:
    job = facts.job(1, status="open", last_seen=facts.ago(9000))
    assert over_text(job, facts.NOW) == ""
    over = job.model_copy(
        update={"incident_over_since": facts.ago(7200), "incident_ended": "recovered"}
    )
    said = over_text(over, facts.NOW)
    assert said.startswith(f"Its incident ended at {facts.ago(7200):%Y-%m-%d %H:%M} UTC by itself,")
    assert "2h ago. The job stays until you close it" in said
    assert "fired again" not in said
    assert "fired again" in over_text(
        over.model_copy(update={"last_seen": facts.ago(60)}), facts.NOW
    )
    for hidden in ("by itself",):
        assert hidden not in over_text(over.model_copy(update={"status": "applied"}), facts.NOW)
        usual = over.model_copy(update={"incident_ended": "new_normal"})
        assert hidden not in over_text(usual, facts.NOW)
    assert over_text(over.model_copy(update={"status": "closed"}), facts.NOW) == ""


def test_whom_a_bug_hit() -> None:
    assert reach_text(facts.job(1, distinct_clients=0, affected_share=None)) == ""
    job = facts.job(1, distinct_clients=1, affected_share=0.068)
    assert reach_text(job) == "it hit 1 client and 6.8% of the service's requests"


def test_why_stands_beside_the_rule_and_a_reason_to_close_is_called_one() -> None:
    job = facts.job(1, status="open", reason="a rate limit or quota")
    assert because(job) == ": a rate limit or quota"
    closed = job.model_copy(update={"status": "closed", "reason": "ours is fine"})
    assert because(closed) == "; closed because: ours is fine"
    assert because(facts.job(1, reason=None)) == ""


def test_a_step_says_from_where_to_where_and_why() -> None:
    entry = facts.audit_entry(
        1, before={"status": "applied"}, after={"status": "resolved"}, reason="silent"
    )
    assert step_text(entry) == 'applied → resolved  "silent"'
    assert step_text(facts.audit_entry(1, before=None, after=None, reason=None)) == ""
    assert step_text(facts.audit_entry(1, before="x", after=[1], reason="why")) == '"why"'
    done = facts.audit_entry(1, action="deed.finished", before={}, after={"status": "done"})
    assert step_text(done).startswith("done")
    assert in_words("rolled_back") == "rolled back"


def test_failed_requests_are_not_called_well() -> None:
    assert traffic_text(None) == "no requests in the last minutes"
    said = traffic_text(facts.health(requests=5000, errors=12))
    assert said.endswith("12 of them failed")
    assert traffic_text(facts.health(requests=5, errors=0)).endswith("none failed")


def test_a_young_sidecar_shows_the_rate_it_saw() -> None:
    health = facts.health(requests=400, window_s=300.0, uptime_s=20.0)
    assert "20.0" in "".join(text for text, _ in traffic_lines(health, 80)[0])


def test_a_failed_proof_is_not_said_to_have_nothing_against_it() -> None:
    evidence = proven(facts.patch(1)).evidence
    assert evidence is not None
    failed = evidence.model_copy(update={"passed": False, "against": []})
    assert "none found" not in str(against_lines(failed))
    assert "none found" in str(against_lines(evidence.model_copy(update={"against": []})))


def test_empty_details_say_nothing() -> None:
    assert detail_lines({"reasons": [], "note": None, "by": {}}) == []
    assert detail_lines({"reasons": ["a", "b"]})[0][1] == ("a; b", "")
