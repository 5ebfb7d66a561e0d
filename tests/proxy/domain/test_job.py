"""A job as it is named."""

from proxy.domain.failure import Category
from tests.support.agent_facts import make_job


def test_a_bug_is_named_without_its_category_and_with_its_routes_capitals() -> None:
    slow = make_job(
        category=Category.PERFORMANCE,
        route="/Orders/{id}",
        signature_text="PERFORMANCE | get /orders/{id} takes longer than usual",
    )
    assert slow.bug == "GET /Orders/{id} takes longer than usual"
    assert make_job().bug == "KeyError: 'total' in orders.show"
