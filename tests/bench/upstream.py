"""What stands behind every proxy. It must be quicker than any of them, so it is nginx with fixed
answers where that is installed, and our own small server where it is not.
"""

import shutil
from pathlib import Path

from tests.bench.cores import Cores
from tests.bench.processes import Running, free_port, start
from tests.bench.pythons import script

HERE = Path(__file__).parent
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
FILES = {"16k": 16384, "1m": 1 << 20, "post": 0}
BODY = "y" * 200
ERROR = "ZeroDivisionError: division by zero"


def start_upstream(directory: Path, cores: Cores) -> Running:
    """Answers ``/200 /16k /1m /post /mixed``."""
    if NGINX is None:
        return start_own(directory, cores)
    site = directory / "www"
    site.mkdir(exist_ok=True)
    for name, size in FILES.items():
        (site / name).write_bytes(b"x" * size)
    port = free_port()
    text = (HERE / "templates" / "upstream.conf").read_text()
    conf = directory / "upstream.conf"
    conf.write_text(text.format(dir=directory, name="upstream", port=port, body=BODY, error=ERROR))
    log = directory / "upstream.log"
    return start("upstream", port, [NGINX, "-c", str(conf), "-e", str(log)], log, cores=cores)


def start_own(directory: Path, cores: Cores) -> Running:
    """As above, and ``/big/N`` sends N bytes; a body of any length is read and thrown away."""
    port = free_port()
    command = script("app.py", str(port))
    return start("own upstream", port, command, directory / "app.log", cores=cores)
