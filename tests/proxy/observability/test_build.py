"""A build tells, keeps and shares what its source does, to the last digit and kind of number.

Run against the wheel (``make test-compiled``) that is the compiled modules beside their own source.
"""

import subprocess
import sys
from pathlib import Path

import proxy

DAY = """
import json, random, sys
sys.path.insert(0, sys.argv[1])
if sys.argv[2] == "source":
    from importlib import machinery as m
    loaders = (m.SourceFileLoader, m.SOURCE_SUFFIXES), (m.ExtensionFileLoader, m.EXTENSION_SUFFIXES)
    sys.path_hooks[-1] = m.FileFinder.path_hook(*loaders)
    sys.path_importer_cache.clear()
from proxy.observability import tally
from proxy.observability.detector import MLDetector

print(tally.__file__, file=sys.stderr)
detector, rng, now, found = MLDetector(sharing=True), random.Random(5), 0.0, []
while now < 5400.0:
    before, now = now, now + rng.expovariate(2.0)
    slow = 3000.0 < now < 4200.0
    ms = rng.lognormvariate(3.0 + rng.randrange(2), 0.5) * (3.0 if slow else 1.0)
    failed = rng.random() < (0.2 if slow else 0.01)
    route = f"/{rng.randrange(3)}"
    found.append(repr(detector.observe("GET", route, 500 if failed else 200, ms, now, failed)))
    if int(now) > int(before):
        found += map(repr, detector.tick(now))
    if now // 300.0 > before // 300.0:
        found.append(json.dumps(detector.export_baselines()))
        found.append(json.dumps(list(detector.share())))
        windows = [[*key, counts.to_json()] for key, counts in detector.windows(now)]
        found.append(json.dumps(windows))
print("\\n".join(line for line in found if line != "None"))
"""


def told(by: str) -> tuple[str, str]:
    where = str(Path(proxy.__file__).parent.parent)
    run = subprocess.run(
        [sys.executable, "-P", "-c", DAY, where, by], capture_output=True, text=True, check=True
    )
    return run.stdout, run.stderr.strip()


def test_a_build_does_what_its_source_does() -> None:
    source, where = told("source")
    assert where.endswith(".py")
    assert "Since " in source
    assert told("build")[0] == source
