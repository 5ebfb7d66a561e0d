"""Typed codes: SQLSTATE, PGRST, Prisma, MySQL, SQL Server, Oracle, Mongo, React, Angular, Azure
AD, gRPC.

A bare number is no fact. Each kind says in which surroundings its number counts; the surroundings
are read in a small window, so the work is bounded by the number of candidate words.
"""

import re
from dataclasses import dataclass

from proxy.healing.facts.text import View


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


CANDIDATES_MAX = 8
LOOKED_AT_MAX = 40
_WINDOW = 48


@dataclass(frozen=True, slots=True)
class Code:
    kind: str
    value: str
    field: str
    excerpt: str

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.value}"


_SQLSTATE = re.compile(r"[0-9a-hp-z][0-9a-z](?=[0-9a-z]*\d)[0-9a-z]{3}")
_SQLSTATE_CLASSES = _words("""08 0a 0l 0p 21 22 23 24 25 26 27 28 2b 2d 34 38 39 3b 3d 3f 40 42 44
53 54 55 57 58 72 f0 hv p0 xx hy 07
    im s0 01""")
_SQLSTATE_AROUND = re.compile(
    r"sqlstate\W{0,6}(?:code|state)?\W{0,4}$|(?:\bcode|\bpgcode|\bsqlstate|"
    r"\bsql_state|\bpg_code|\berror_code)\\?[\"']?\]?\s?(?:[:=]|=>)\s?\\?[\"']$|"
    r"(?:error|fatal|panic|exception|pgerror)[: ]{1,3}\[?$|^[(\[]?$|\n[(\[]?$|[\[(]$|"
    r"\berror code:? $"
)
_BARE_CODE = re.compile(r"(?<![\"'\w])(?:code|sqlstate|sql_state)[:=]\s?$")
_KNOWN_BARE = _words("""42501 42p17 42p01 42703 23505 23503 23502 23514 57014 40001 40p01 53300
28p01 3d000 22p02 42883 25p02 42704
    42p07 42701 55p03 53400 53100 08006 08001 57p01 57p03 0a000 22001 22003 23p01 42601 42702
    42804""")
_MYSQL = _words("""1005 1006 1007 1008 1010 1017 1021 1022 1025 1030 1032 1036 1037 1038 1040 1041
1042 1043 1044 1045 1046 1047 1048
    1049 1050 1051 1052 1054 1055 1060 1061 1062 1064 1065 1066 1067 1068 1069 1071 1072 1075 1091
    1093 1101 1104 1105
    1109 1114 1118 1129 1130 1136 1137 1138 1142 1143 1146 1153 1159 1161 1169 1171 1172 1175 1180
    1194 1195 1203 1205
    1206 1213 1215 1216 1217 1222 1226 1231 1235 1241 1242 1247 1248 1251 1253 1264 1265 1267 1270
    1273 1290 1292 1293
    1305 1317 1318 1322 1364 1365 1366 1370 1390 1406 1411 1418 1419 1426 1427 1442 1451 1452 1461
    1524 1525 1553 1557
    1558 1586 1615 1690 1698 1701 1709 1712 1761 1785 1792 1812 1813 1819 1820 1822 1824 1826 1828
    1829 1830 1831 1832
    1833 1834 1862 1966 2002 2003 2005 2006 2013 2014 2026 2055 2059 3024 3140 3572 3730 3780
    3819""")
_SQL_WORDS = _words(
    "mysql mariadb sql sqlstate errno pdo pdoexception table column key database query row field "
    "constraint collation"
)
_MYSQL_AROUND = re.compile(
    r"(?:\(|errno\\?[\"']?\s?[:=]\s?|error(?: code)?:? ?\(?|code:? |mysql\w{0,20}:? |"
    r"^|\n|sqlstate\[\w{5}\]:? ?(?:[a-z ]{1,60}: )?|\[)$"
)
_MYSQL_NEAR = re.compile(r"^(?:, ?\\?[\"']| ?\([0-9a-z]{5}\)|[, )}]|:? )")
_MSSQL = _words("""102 105 109 137 156 201 207 208 213 229 230 233 241 245 262 297 300 402 515 512
544 547 701 911 916 924 1105 1204
    1205 1222 1505 1750 1785 1913 2601 2627 2628 2705 2714 2812 3609 3701 3902 3903 3960 3998 4060
    4145 4922 5074 8114
    8115 8134 8152 8623 8632 8645 8651 8672 9002 10054 10060 10061 10928 10929 15404 15517 18452
    18456 18470 18486 18487
    18488 33504 33505 40197 40501 40544 40549 40550 40613 40615 40627 49918 49919 49920""")
_MSSQL_AROUND = re.compile(
    r"(?:\bmsg |(?:error|native error|sql error)[ :]{0,2}(?:number|code)?[:=]? ?|"
    r"\bnumber\\?[\"']?[:=] ?|\()$"
)
_MSSQL_WORDS = _words(
    "sqlexception mssql tedious sqlserver sqlclient pyodbc pymssql sqlcmd msg requesterror odbc "
    "sqlsrv dblib freetds"
)
_REACT = re.compile(
    r"(?:react error,? #|errors/|invariant=|error-decoder\.html\?invariant=|"
    r"error code |prod-invariant-\w{0,20})$"
)
_GRPC = re.compile(
    r"\b(?:deadline_?exceeded|unavailable|unauthenticated|permission_?denied|"
    r"resource_?exhausted|invalid_?argument|not_?found|"
    r"already_?exists|failed_?precondition|aborted|out_?of_?range|unimplemented|"
    r"internal|data_?loss|cancell?ed)\b"
)
_GRPC_AROUND = re.compile(
    r"(?:code ?= ?|statuscode\.|status(?:code)?[.:=] ?\"?|grpc[-_ ]status[\"']?[:=]? ?|^|\n|: ?)$"
)
_GRPC_CHARS = 1024
_GRPC_WORDS = _words(
    "rpc grpc statuscode statusruntimeexception rpcerror rpcexception grpcerror aioclient"
)


def find_codes(view: View) -> tuple[Code, ...]:
    """Every code of one field, in order of first sight, each kind and value once."""
    found: list[Code] = []
    tried = looked_at = 0
    sql_server = not view.words.isdisjoint(_MSSQL_WORDS)
    # every code ends in a digit but a few SQLSTATEs of class 22
    for word in [w for w in view.order if w[-1] <= "9" or w[:2] == "22"]:
        if not 3 <= len(word) <= 14:
            continue
        looked_at += 1
        if looked_at > LOOKED_AT_MAX:
            break
        kind = _kind(word, view, sql_server)
        if not kind:
            continue
        tried += 1
        if tried > CANDIDATES_MAX:
            break
        code = _in_context(kind, word, view)
        if code is not None:
            found.append(code)
    if not view.words.isdisjoint(_GRPC_WORDS) and (status := _grpc_status(view)) is not None:
        found.append(status)
    return tuple(found)


def _grpc_status(view: View) -> Code | None:
    for match in _GRPC.finditer(view.low, 0, _GRPC_CHARS):
        start, end = match.span()
        if _GRPC_AROUND.search(view.low[max(0, start - 20) : start]) is not None:
            excerpt = view.text[max(0, start - 12) : end].strip()
            return Code("grpc", match[0].replace("_", ""), view.field, excerpt)
    return None


def _kind(word: str, view: View, sql_server: bool) -> str:
    size = len(word)
    if word.startswith("pgrst") and size == 8:
        return "pgrst"
    if size == 5 and word[0] == "p" and word[1] in "12356" and word[2:].isdigit():
        return "prisma"
    if size == 5 and "ora" in view.words and word.isdigit() and f"ora-{word}" in view.low:
        return "oracle"
    if size == 5 and word[:2] in _SQLSTATE_CLASSES and _SQLSTATE.fullmatch(word):
        return "sqlstate"
    if word.isdigit():
        if size == 4 and word in _MYSQL and word not in _MSSQL:
            return "mysql"
        if word in _MSSQL:
            return "mssql" if sql_server else "mysql" if word in _MYSQL else ""
        if size == 3 and ("react" in view.words or "invariant" in view.words):
            return "react"
        if size in (5, 6) and word in ("11000", "11001", "16755"):
            return "mongo"
        return ""
    if word[:2] == "ng" and word[2:].isdigit() and size >= 5:
        return "angular"
    if word.startswith("aadsts") and word[6:].isdigit():
        return "aadsts"
    if word in ("e11000", "e11001"):
        return "mongo"
    if (
        size == 3
        and word[0] in "hrl"
        and word[1:].isdigit()
        and "code" in view.words
        and "heroku" in view.words | {"heroku"}
    ):
        return "heroku"
    return ""


def _in_context(kind: str, word: str, view: View) -> Code | None:
    at = -1
    for _ in range(3):
        at = view.low.find(word, at + 1)
        if at < 0:
            return None
        before = view.low[max(0, at - _WINDOW) : at]
        after = view.low[at + len(word) : at + len(word) + 12]
        if (before[-1:].isalnum() and kind != "oracle") or after[:1].isalnum():
            continue
        if kind == "mysql" and after[:1] == " " and after[1:2] != "(" and not _speaks_sql(view):
            continue  # "Error 1101 Worker threw exception" is another's number
        if _counts(kind, word, before, after):
            value = word.upper()
            if kind == "mongo":
                value = value.lstrip("E")
            excerpt = view.text[max(0, at - 24) : at + len(word) + 24].replace("\n", " ").strip()
            return Code(kind, value, view.field, excerpt)
    return None


def _speaks_sql(view: View) -> bool:
    return not view.words.isdisjoint(_SQL_WORDS)


def _counts(kind: str, word: str, before: str, after: str) -> bool:
    if kind == "sqlstate":
        if _SQLSTATE_AROUND.search(before) is not None:
            # `[12345]` and `(12345)` are often process ids: brackets count for known codes only
            bracket = before[-1:] in "[(" or not before or before.endswith("\n")
            return (
                not bracket
                or word in _KNOWN_BARE
                or not word.isdigit()
                or before.endswith("sqlstate[")
            )
        return word in _KNOWN_BARE and (
            _BARE_CODE.search(before) is not None or before.endswith("rls ")
        )
    if kind == "mysql":
        return (
            _MYSQL_AROUND.search(before) is not None and _MYSQL_NEAR.match(after + " ") is not None
        )
    if kind == "mssql":
        return _MSSQL_AROUND.search(before) is not None
    if kind == "react":
        return _REACT.search(before) is not None
    if kind == "mongo":
        return word[0] == "e" or before.rstrip().endswith((":", "="))
    if kind == "heroku":
        return before.endswith("code=")
    if kind == "prisma":
        return not before.endswith(("=", "/")) or before.endswith("code=")
    return True
