"""The highest consideration wins, with its reasons, and nothing hides a verb."""

import pytest

from proxy.domain.failure import Category, Severity
from proxy.domain.patch import PatchType, Risk, risk_level
from proxy.founder.risk import LEVEL_FLOORS, REASONS_MAX, Change, assess, raised, statements


def weigh(**facts: object) -> Risk:
    fields: dict[str, object] = {"patch_type": PatchType.CODE, "category": Category.UI_BUG}
    return assess(Change(**fields | facts))  # type: ignore[arg-type]  # a test's shorthand


def test_a_small_change_of_a_known_kind_is_low() -> None:
    risk = weigh(files=("src/page.py",), lines=4, traffic_share=0.03)
    assert (risk.score, risk.level) == (5, Severity.LOW)
    weighed, looked_at = risk.reasons
    assert weighed == "any change can be wrong (5)"
    assert looked_at == (
        "looked at: 1 file (src/page.py), 4 changed lines, no SQL, a bug of kind UI_BUG, "
        "3% of the traffic passes here"
    )


def test_what_was_looked_at_stands_last_however_much_weighs() -> None:
    names = tuple(f"auth/{n}.py" for n in range(40))
    risk = weigh(files=names, lines=1, sql="select 1; select 2")
    assert len(risk.reasons) == REASONS_MAX
    lifted = raised(risk, 99, "a rule")
    assert lifted.reasons[0] == "a rule (99)"
    for shown in (risk, lifted):
        assert shown.reasons[-1] == (
            "looked at: 40 files (auth/0.py, auth/1.py, auth/2.py, auth/3.py, auth/4.py and 35 "
            "more), 1 changed line, 2 SQL statements, a bug of kind UI_BUG, the route's traffic "
            "is not known"
        )
    assert len(lifted.reasons) == REASONS_MAX


@pytest.mark.parametrize(
    ("path", "level"),
    [
        ("app/billing/invoice.py", Severity.CRITICAL),
        ("deploy/ci/run", Severity.CRITICAL),
        ("db/migrations/0007.py", Severity.HIGH),
        ("src/auth/tokens.ts", Severity.HIGH),
        ("config/settings.toml", Severity.MEDIUM),
        ("src/pages/home.html", Severity.LOW),
    ],
)
def test_paths_weigh(path: str, level: Severity) -> None:
    assert weigh(files=(path,)).level is level


@pytest.mark.parametrize(
    ("sql", "least"),
    [
        ("drop table users", 90), ("TRUNCATE users", 90), ("delete from users", 80),
        ("delete from users where id = 1", 50), ("update users set a = 1", 80),
        ("alter table t drop column c", 80), ("alter table t drop c", 80),
        ("alter table t alter column c type text", 60), ("grant all on t to public", 80),
        ("alter table t disable row level security", 70), ("create policy p on t", 70),
        ("do $$ begin delete from t; end $$", 70), ("copy t from program 'x'", 70),
        ("create index i on t (a)", 40), ("create index concurrently i on t (a)", 20),
        ("insert into t values (1)", 20), ("select 1", 20),
        ("/* only */ drop /* a */ table -- x\n t", 90),
        ("select 1; drop table t", 90),
        ("select '; drop nothing'; truncate t", 90),
        ("update t set a = 'where'", 80),
        ("update t set a = 1 -- where\n", 80),
        ("select 'unfinished; drop table t", 90),
        (r"select 'a\'; drop table t; --'", 90), (r"select E'a\'; drop table t; --'", 20),
        (r"select date'\'; drop table t; --'", 90),
        ("select $x$ unfinished; drop table t", 70),
        ("select /* unfinished drop table t", 70),
    ],
)  # fmt: skip
def test_sql_verbs_weigh(sql: str, least: int) -> None:
    assert weigh(sql=sql).score == least


def test_words_inside_literals_and_comments_are_no_verbs() -> None:
    assert weigh(sql="insert into t values ('drop table x; delete')").score == 20
    assert statements("select 'a;b'; -- c;d\n select $$ e;f $$;") == ["select ''", "select  $$"]


def test_size_spread_traffic_type_and_manifests_weigh() -> None:
    assert weigh(lines=500).score == 40
    assert weigh(files=tuple(f"f{n}.py" for n in range(9))).score == 20
    assert weigh(traffic_share=0.6).score == 40
    assert weigh(patch_type=PatchType.DEPENDENCY).score == 45
    assert weigh(manifests=("package.json",)).score == 45
    assert weigh(category=Category.RLS_VIOLATION).score == 40


def test_the_highest_wins_and_every_heavy_reason_is_told() -> None:
    risk = weigh(files=("auth/login.py",), lines=60, sql="drop table t")
    assert risk.score == 90
    assert risk.level is Severity.CRITICAL
    assert [r.rsplit("(", 1)[1] for r in risk.reasons[:-1]] == ["90)", "50)", "10)"]


def test_a_score_can_be_raised_and_never_lowered() -> None:
    risk = weigh(lines=60)
    assert raised(risk, 5, "no") is risk
    lifted = raised(risk, 75, "the founder's rule")
    assert (lifted.level, lifted.reasons[0]) == (Severity.CRITICAL, "the founder's rule (75)")
    assert raised(risk, 500, "much").score == 100


def test_level_floors_are_the_levels() -> None:
    for level, floor in LEVEL_FLOORS.items():
        assert risk_level(floor) is level
        assert floor == 0 or risk_level(floor - 1) is not level
