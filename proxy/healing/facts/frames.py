"""Stack frames of every usual language, split from the prose between them.

Words inside frame paths (``csrf.py``, ``timeout.js``) say nothing about the error, so rules read
the prose and signatures read the frames. Refuses to know which error it is.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


LINES_MAX = 120
ATTEMPTS_MAX = 40
"""Lines looked at as frames; the first in-app frame stands among them."""
FAILED_MAX = 10
"""Lines that looked like a frame and were none; a real stack has a few between its frames."""
FRAMES_KEPT = 2048
"""The frames of one stack are those of the next: most lines are read once."""
LINE_CHARS_MAX = 320

Side = Literal["browser", "server", ""]


@dataclass(frozen=True, slots=True)
class Frame:
    """``file`` and ``function`` as the stack names them, without line, column, query and build
    hash.
    """

    file: str
    function: str
    in_app: bool
    language: str


_JS = re.compile(
    r"^(?:at )?(?:async )?(?:(?P<fn>[^@(]{1,160}?) ?(?:\(|@))?"
    r"(?P<file>[^\s()@][^()\n]{0,300}?\.(?:m?[jt]sx?|cjs|vue|svelte|astro|html?|"
    r"hbs)(?:\?[\w=&.%-]{0,80}|#[\w-]{1,20})?)"
    r"(?::\d{1,9}){1,2}\)?,?(?: \{)?$"
)
_JS_BARE = re.compile(
    r"^at (?:async )?(?:new )?(?P<fn>[\w$.<>\[\] ]{1,120}?)(?: \((?P<file>[^()\n]{1,20"
    r"0})\))?\)?(?: \{)?$"
)
_PYTHON = re.compile(r'^File "(?P<file>[^"]{1,300})", line \d{1,9}(?:, in (?P<fn>[^\n]{1,120}))?')
_JVM = re.compile(
    r"^at (?:[\w.$-]{1,40}//?|app//)?(?P<cls>[\w.$]{1,200})\.(?P<fn>[\w$<>]{1,100})\(("
    r"?P<file>[\w$.-]{1,100}|Native Method|Unknown Source)(?::\d{1,9})?\)"
)
_DOTNET = re.compile(
    r"^(?:at|---> at) (?P<cls>[\w.`\[\],<>|+]{1,200})\.(?P<fn>[\w`<>|"
    r"\[\], .]{1,120})\([^\n]{0,300}\)(?: in (?P<file>[^\n]{1,300}):line \d{1,9})?"
)
_RUBY = re.compile(
    r"^(?:from |line \d{1,9} of )?(?P<file>[^\s:]{1,300}\.(?:rb|erb|haml|slim|rake|"
    r"jbuilder)):?(?P<n>\d{0,9})(?::in [`'](?P<fn>[^'`]{1,160})['`]|"
    r" - (?P<fn2>[\w ?!]{1,100})|: ?(?P<fn3>[\w?!]{1,160}))?"
)
_PHP = re.compile(r"^#\d{1,4} (?P<file>[^\s(]{1,300}\.php)\(\d{1,9}\): (?P<fn>[\w\\:>{}-]{1,200})")
_PHP_IN = re.compile(
    r"^(?:in |at )(?P<file>[^\s:]{1,300}\.php)(?::\d{1,9}| line \d{1,9}|\(\d{1,9}\))"
)
_GO = re.compile(r"^(?P<file>[^\s:]{1,300}\.go):\d{1,9}(?: \+0x[0-9a-f]{1,16})?$")
_ELIXIR = re.compile(
    r"^(?:\((?P<app>[\w-]{1,60})(?: [\w.+-]{1,30})?\) )?(?P<file>[\w./-]{1,200}\.exs?)"
    r":\d{1,9}: (?P<fn>[\w.:/?!&<>\" -]{1,160})"
)
_RUST = re.compile(
    r"^(?:\d{1,4}: )?(?:0x[0-9a-f]{1,16} - )?(?:at )?(?P<file>[^\s:]{1,300}\.rs):\d{1,"
    r"9}(?::\d{1,9})?$"
)
_RUST_FN = re.compile(
    r"^\d{1,4}: (?:0x[0-9a-f]{1,16} - )?(?P<fn>[\w:<>]{1,160}(?:::[\w{}<>]{1,80}){1,8})$"
)
_NATIVE = re.compile(r"^\d{1,4}: 0x[0-9a-f]{1,16} ")

_FOREIGN = re.compile(
    r"(?i)node_modules|site-packages|dist-packages|/lib/python\d|\\lib\\python|"
    r"/python\d\.\d+/(?!site)|/gems/|/vendor/|/bundler/|"
    r"^node:|^internal/|/node/internal|node:internal|^<|^\[native|^native|"
    r"webpack/(?:bootstrap|runtime)|react-dom|scheduler\.|react-refresh|"
    r"invokeguarded|zone\.js|zone-evergreen|vue-router\.|vue\.(?:esm|runtime|global|"
    r"common)|vuex\.|jquery|polyfills|vendors?[-.~]|framework-|"
    r"runtime-core|runtime-dom|server-renderer|/usr/local/go/|/go/pkg/mod/|/rustc/|"
    r"/\.cargo/|/deps/|"
    r"^(?:events|timers|net|http|https|dns|fs|stream|module|domain|_stream_\w+|"
    r"_http_\w+|_tls_\w+|tls|zlib|vm|util|child_process|cluster|readline)\.js$|"
    r"^anonymous|frozen importlib|/rubies/|/ruby/\d|ext://|chrome-extension:|"
    r"moz-extension:|safari-(?:web-)?extension:|"
    # Cython names its sources relative to where a library was built
    r"\.pyx$"
)
_FOREIGN_JVM = re.compile(
    r"^(?:java|javax|jakarta|jdk|sun|com\.sun|org\.(?:springframework|hibernate|"
    r"apache|eclipse|jboss|postgresql|mariadb|h2|jooq|mybatis|mongodb|aspectj|junit|"
    r"gradle)|"
    r"com\.(?:mysql|zaxxer|fasterxml|microsoft|oracle|google|mongodb|netflix|"
    r"datastax)|io\.(?:netty|undertow|micronaut|quarkus|ktor|grpc|lettuce|vertx|"
    r"r2dbc)|"
    r"reactor|kotlin|kotlinx|scala|akka|play|groovy|net\.sf|redis\.clients|oracle|"
    r"android|androidx|dalvik|System|Microsoft|Npgsql|MySql|Pomelo|StackExchange|"
    r"Newtonsoft|lambda_method)(?:[.$]|$)"
)
_FOREIGN_ELIXIR = _words(
    "phoenix ecto ecto_sql plug plug_cowboy cowboy bandit db_connection postgrex stdlib elixir "
    "phoenix_live_view absinthe"
)
_HASHED = re.compile(
    r"(?i)(?<![A-Za-z0-9])(?=[a-z_-]*\d)[a-f0-9]{8,64}(?![A-Za-z0-9])|"
    r"(?<=[.-])(?=[\w-]{0,20}\d)(?=[\w-]{0,20}[A-Za-z])[\w-]{8,20}(?=\.(?:m?js|css|"
    r"chunk))"
)
_BROWSER_FILE = re.compile(
    r"(?i)(?:^|[\s(@])(?:https?:|webpack(?:-internal)?://(?!/?\((?:rsc|ssr|api|"
    r"middleware|action-browser|sc_server|instrument)\))|blob:|chrome-extension|"
    r"moz-extension|capacitor://|ionic://|app:///)|/static/js/|/_next/static/|"
    r"\.chunk\.js|react-dom(?:\.|-client)|bundle\.js|/_nuxt/|/assets/[\w.-]+\.js"
)
_SERVER_FILE = re.compile(
    r"(?i)(?:^|[\s(@])(?:node:|internal/|file:///)|node_modules/(?:express|koa|"
    r"fastify|@nestjs|next/dist/(?:server|compiled/next-server)|h3|nitro|"
    r"apollo-server|hapi|mongoose|pg|mysql2?|sequelize|knex|typeorm)/|\.next/server/|"
    r"/server/(?:chunks|pages|app)/|react-dom-server|react-dom/cjs/react-dom-server|"
    r"server-renderer|next-server|processTicksAndRejections|"
    r"webpack-internal:///?\((?:rsc|ssr|api|middleware|action-browser|sc_server|"
    r"instrument)\)|(?:^|/)(?:events|net|http|https|_http_server|timers|dns|fs)\.js$|"
    r"processtimers|\.(?:py|rb|php|go|java|kt|cs|ex|rs|scala)$"
)


_SOURCE_FILE = re.compile(r"\.(?:rb|erb|haml|exs?:|go:|rs:)")
_FRAME_HEADS = ("at ", 'File "', "#", "from ")


def split_frames(text: str) -> tuple[str, tuple[Frame, ...], Side]:
    """``(prose without frame lines, frames, the side their files speak for)``; at most 240 lines
    are read.
    """
    prose: list[str] = []
    frames: list[Frame] = []
    browser = server = False
    lines = text.split("\n", LINES_MAX)
    rest = lines.pop() if len(lines) > LINES_MAX else ""
    skip_source = False
    attempts = failed = 0
    for raw in lines:
        line = raw.strip()
        if len(line) > LINE_CHARS_MAX or not line:
            prose.append(line)
            skip_source = False
            continue
        if skip_source and raw[:4] == "    " and not line.startswith(("File ", "raise ")):
            skip_source = False
            continue  # Python prints the source line below its frame
        frame = None
        if _may_be_frame(line):
            attempts += 1
            is_head = line.startswith(_FRAME_HEADS)
            if attempts > ATTEMPTS_MAX or (failed >= FAILED_MAX and not is_head):
                if not is_head:
                    prose.append(line)
                continue
            frame = _frame(line)
            failed += frame is None
        skip_source = frame is not None and frame.language == "python"
        if frame is None:
            prose.append(line)
            continue
        frames.append(frame)
        if frame.language == "js":
            if not server:  # the server's word is the last one
                side = _side_of(line)
                server, browser = side == "server", browser or side == "browser"
        elif frame.language:
            server = True
    if rest:
        prose.append(rest)
    told: Side = "server" if server else "browser" if browser else ""
    return "\n".join(prose), tuple(frames), told


@lru_cache(maxsize=FRAMES_KEPT)
def _side_of(line: str) -> Side:
    if _SERVER_FILE.search(line):
        return "server"
    return "browser" if _BROWSER_FILE.search(line) else ""


def first_in_app(frames: tuple[Frame, ...]) -> Frame | None:
    """The frame nearest to the failure that the app's people wrote. Python prints the failure
    last.
    """
    own = [frame for frame in frames if frame.in_app and (frame.function or frame.file)]
    if not own:
        return None
    return own[-1] if own[0].language == "python" else own[0]


def _may_be_frame(line: str) -> bool:
    return (
        line[0] in "#(0123456789"
        or line[-1] in ")'`,0123456789"
        or line.startswith(("at ", "File ", "from ", "in ", "line ", "async "))
        or line.endswith((") {", "}"))
        or _SOURCE_FILE.search(line) is not None
    )


@lru_cache(maxsize=FRAMES_KEPT)
def _frame(line: str) -> Frame | None:
    if line.startswith('File "') and (m := _PYTHON.match(line)):
        return _make(m["file"], m["fn"] or "", "python")
    if line.startswith(("at ", "---> at ")):
        if m := _JS.match(line):
            return _make(m["file"], m["fn"] or "", "js")
        if m := _JVM.match(line):
            own = _FOREIGN_JVM.match(m["cls"]) is None
            return Frame(m["cls"], m["fn"], own, "jvm")
        if (m := _DOTNET.match(line)) and ("." in m["cls"] or m["file"]):
            own = _FOREIGN_JVM.match(m["cls"]) is None
            return Frame(m["cls"], m["fn"], own, "dotnet")
        if m := _RUST.match(line):
            return _make(m["file"], "", "rust")
        if m := _PHP_IN.match(line):
            return _make(m["file"], "", "php")
        if m := _JS_BARE.match(line):
            name, file = m["fn"], m["file"] or ""
            if file or "." in name or " " not in name:
                return Frame(
                    _clean_file(file),
                    _clean_function(name),
                    bool(file) and not _FOREIGN.search(file) and "/" in file,
                    "js" if file else "",
                )
        return None
    if m := _RUBY.match(line):
        if m["n"] or line.startswith("line "):
            return _make(m["file"], m["fn"] or m["fn2"] or m["fn3"] or "", "ruby")
        return None
    if line[0] == "#":
        return _make(m["file"], m["fn"], "php") if (m := _PHP.match(line)) else None
    if m := _ELIXIR.match(line):
        own = (m["app"] or "app") not in _FOREIGN_ELIXIR and not m["file"].startswith("deps/")
        return Frame(m["file"], m["fn"], own, "elixir")
    if m := _GO.match(line):
        return _make(m["file"], "", "go")
    if m := _RUST.match(line):
        return _make(m["file"], "", "rust")
    if m := _RUST_FN.match(line):
        own = not m["fn"].startswith(
            (
                "std::",
                "core::",
                "alloc::",
                "tokio::",
                "hyper::",
                "axum::",
                "actix",
                "rust_",
                "sqlx",
                "tower",
            )
        )
        return Frame("", m["fn"], own, "rust")
    if _NATIVE.match(line):
        return Frame("<native>", "", False, "native")
    if (m := _PHP_IN.match(line)) is not None:
        return _make(m["file"], "", "php")
    plain = " " not in line[:80].partition("@")[0] or "(" in line or line.startswith("async ")
    if plain and (m := _JS.match(line)):
        return _make(m["file"], m["fn"] or "", "js")
    return None


def _make(file: str, function: str, language: str) -> Frame:
    return Frame(
        _clean_file(file), _clean_function(function), _FOREIGN.search(file) is None, language
    )


def _clean_file(file: str) -> str:
    """Without origin, query and build hash, so that the next build groups with this one."""
    name = file.partition("?")[0].partition("#")[0].replace("\\", "/")
    if "://" in name and "-extension://" not in name:
        name = name.partition("://")[2].partition("/")[2] or name
    return _HASHED.sub("<hash>", name)


_HELPERS = re.compile(r"(?:_{1,3}\d{4,30}){1,4}_?\d*$|_\d{5,30}(?:_\d{3,30})?$")


def _clean_function(function: str) -> str:
    name = function.strip().removeprefix("async ").removeprefix("new ").partition(" [as ")[0]
    return _HELPERS.sub("", name)
