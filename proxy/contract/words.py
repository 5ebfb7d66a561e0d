"""The words the contract speaks, as the database spells them."""

from typing import Literal

SeverityWord = Literal["low", "medium", "high", "critical"]
CategoryWord = Literal[
    "RLS_VIOLATION",
    "AUTH_FAILURE",
    "SSR_HYDRATION",
    "API_SCHEMA",
    "PERFORMANCE",
    "UI_BUG",
    "REDIRECT_LOOP",
    "DB_ERROR",
    "UNKNOWN",
]
JobStatusWord = Literal[
    "open", "patch_proposed", "sandboxed", "approved", "applied", "resolved", "snoozed", "closed"
]
PatchStatusWord = Literal[
    "proposed",
    "sandbox_running",
    "sandbox_passed",
    "sandbox_failed",
    "approved",
    "applied",
    "verified",
    "regressed",
    "rolled_back",
    "rejected",
    "superseded",
]
PatchTypeWord = Literal["code", "sql_migration", "config", "dependency", "test", "manual"]
ItemTypeWord = Literal[
    "claim",
    "campaign",
    "email",
    "automation",
    "brand_change",
    "override",
    "patch_sandbox",
    "patch_main",
]
DecisionWord = Literal["approve", "reject", "defer"]
EndWord = Literal["recovered", "new_normal", "silent", "unwatched"]
ApprovalStatusWord = Literal["pending", "approved", "rejected", "deferred", "expired", "void"]
