"""Every kind of protection, taken away: how, and what the comparison must then name.

``{sh}`` stands before role names of the installation. ``opens``: an attack that no longer fails for
the right reason once the protection is gone, and ``back``: what puts it back.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Protection:
    remove: str
    named: str
    opens: str = ""
    back: str = ""


TABLES: tuple[str, ...] = (
    "profiles", "audit_log", "audit_head", "self_healing_jobs", "self_healing_patches",
    "self_healing_events", "self_healing_links", "self_healing_aliases", "gate_switches",
    "approval_requests", "approval_decisions", "founder_decisions", "control_versions",
)  # fmt: skip
TRIGGERS = {
    "audit_log": ("append_only", "no_truncate"),
    "audit_head": ("head_stays", "no_truncate"),
    "profiles": ("audit_members",),
    "self_healing_jobs": ("guard", "nothing_is_deleted", "no_truncate", "record_update"),
    "self_healing_patches": ("guard", "guard_gates", "void_stale", "record", "no_truncate"),
    "approval_requests": ("guard", "guard_update", "nothing_is_deleted", "no_truncate", "record"),
    "approval_decisions": ("guard", "append_only", "no_truncate", "record"),
    "founder_decisions": ("guard", "nothing_is_deleted", "no_truncate", "record"),
    "control_versions": ("guard", "append_only", "no_truncate", "record"),
}
POLICIES = {
    "profiles": ("owner_all", "readers"),
    "audit_log": ("owner_all", "readers"),
    "self_healing_patches": ("sidecar", "people", "agents", "agents_propose"),
    "approval_requests": ("readers", "ask"),
    "approval_decisions": ("readers", "decide"),
    "founder_decisions": ("order_deed", "finish_deed"),
    "control_versions": ("write_rules",),
}
DEFINERS = (
    "may_act()",
    "acting_role()",
    "acting_name()",
    "guard_decision()",
    "guard_gates()",
    "guard_deed()",
    "gate_passed(text, bigint, text, text)",
    "deed_stands(text, bigint, text, text)",
    "may_decide(text, text, text)",
    "audit_append(text, text, jsonb, jsonb, text)",
    "set_switch(text, boolean, text)",
)


def _written() -> Iterator[Protection]:
    """The single ones, from the text file beside this page."""
    text = Path(__file__).with_suffix(".txt").read_text("utf-8")
    for block in text.split("\n\n")[1:]:
        words = dict(line.split(" ", 1) for line in block.splitlines() if line)
        if words:
            opens, back = words.get("opens", ""), words.get("back", "")
            yield Protection(words["remove"], words["names"], opens, back)


def _of_tables() -> Iterator[Protection]:
    for table in TABLES:
        yield Protection(f"alter table {table} disable row level security", f"r {table} ")
        yield Protection(f"alter table {table} no force row level security", f"r {table} ")
        yield Protection(f"alter table {table} owner to {{sh}}proxy", f"r {table} owner=sh_owner")
    for table, policies in POLICIES.items():
        for policy in policies:
            yield Protection(f"drop policy {policy} on {table}", f"policy {table}.{policy}")
    for table, triggers in TRIGGERS.items():
        for trigger in triggers:
            yield Protection(f"drop trigger {trigger} on {table}", f"trigger {table} ")
            yield Protection(f"alter table {table} disable trigger {trigger}", f"trigger {table} ")


def _of_functions() -> Iterator[Protection]:
    for function in DEFINERS:
        named = f"function {function.partition('(')[0]}("
        for change in ("reset search_path", "security invoker", "owner to {sh}proxy"):
            yield Protection(f"alter function {function} {change}", named)


PROTECTIONS: tuple[Protection, ...] = (*_of_tables(), *_of_functions(), *_written())
