"""Run short programs in processes whose platform was not chosen yet.

Importing verl takes seconds, so programs that ask questions of one platform share a process: it imports once, and each
program runs in a copy of it.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping

CHOSEN = ("VERL_PLATFORM", "INNOVATOR_PLATFORM", "VERL_USE_EXTERNAL_PLUGINS")
"""The variables that would choose a platform."""

EACH = """
import os, sys
for name, program in {programs!r}.items():
    print("section", name, flush=True)
    if (child := os.fork()) == 0:
        status = 1
        try:
            exec(program, {{"__name__": "__main__"}})
            sys.stdout.flush()
            status = 0
        finally:
            os._exit(status)
    if os.waitpid(child, 0)[1]:
        sys.exit(f"section {{name}} failed")
"""


def run_python(program: str, **variables: str) -> str:
    """Return the standard output of a program in a fresh process."""
    env = {key: value for key, value in os.environ.items() if key not in CHOSEN} | variables
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def run_each(setup: str, programs: Mapping[str, str], **variables: str) -> dict[str, str]:
    """Return the standard output of each program, run in a copy of one fresh process that ran `setup`."""
    out = run_python(setup + EACH.format(programs=dict(programs)), **variables)
    _, *sections = ("\n" + out).split("\nsection ")
    return dict(section.split("\n", 1) for section in sections)


def last_json(out: str) -> object:
    """Return the last line of an output, read as JSON."""
    return json.loads(out.splitlines()[-1])
