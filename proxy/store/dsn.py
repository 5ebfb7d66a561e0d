"""Data source names: the same server under another login. Pure text work, nothing connects."""

from urllib.parse import quote, unquote, urlsplit, urlunsplit

LOGIN_PROXY = "sh_login_proxy"


def with_login(dsn: str, user: str, password: str) -> str:
    """The same host, port, database and options, as ``user``."""
    parts = urlsplit(dsn)
    _, _, host = parts.netloc.rpartition("@")
    login = f"{quote(user, safe='')}:{quote(password, safe='')}"
    return urlunsplit(parts._replace(netloc=f"{login}@{host}"))


def with_database(dsn: str, database: str) -> str:
    return urlunsplit(urlsplit(dsn)._replace(path="/" + quote(database, safe="")))


def user_of(dsn: str) -> str:
    login, at, _ = urlsplit(dsn).netloc.rpartition("@")
    return unquote(login.partition(":")[0]) if at else ""


def password_of(dsn: str) -> str:
    login, at, _ = urlsplit(dsn).netloc.rpartition("@")
    return unquote(login.partition(":")[2]) if at else ""


def prefix_of(proxy_dsn: str) -> str:
    """The installation's role prefix, read from the sidecar's login: ``x7f_sh_login_proxy`` →
    ``x7f_``.
    """
    user = user_of(proxy_dsn)
    return user.removesuffix(LOGIN_PROXY) if user.endswith(LOGIN_PROXY) else ""


def shown(dsn: str) -> str:
    """For logs and messages: without the password."""
    parts = urlsplit(dsn)
    _, _, host = parts.netloc.rpartition("@")
    user = quote(user_of(dsn), safe="")
    return urlunsplit(parts._replace(netloc=f"{user}@{host}" if user else host))
