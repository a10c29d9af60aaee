"""A queue of SLURM in a file: `squeue` and `scancel` for the PATH, and what the queue holds."""

import json
import os
import sys
from pathlib import Path

# Each look at the queue is the next of `looks`; the last one stays. A look that is a text is the
# error of a controller that does not answer.
SQUEUE = """#!{python} -SE
import json, os, sys
here = os.path.dirname(os.path.abspath(__file__))
looks = json.load(open(here + "/looks.json"))
json.dump(looks[1:] or looks, open(here + "/looks.json", "w"))
json.dump([sys.argv[1:], sorted(os.environ)], open(here + "/asked.json", "w"))
if isinstance(looks[0], str):
    sys.exit("slurm_load_jobs error: " + looks[0])
for job in looks[0]:
    print("|".join(job))
"""
SCANCEL = """#!{python} -SE
import json, os, sys
here = os.path.dirname(os.path.abspath(__file__))
looks = json.load(open(here + "/looks.json"))
json.dump(sys.argv[1:], open(here + "/cancelled.json", "w"))
if os.path.exists(here + "/stubborn"):
    sys.exit(0)
left = [job for job in looks[-1] if job[0] not in sys.argv[1:]]
json.dump([left], open(here + "/looks.json", "w"))
gone = set(sys.argv[1:]) - {{job[0] for job in looks[-1]}}
sys.exit("scancel: error: Invalid job id specified" if gone else 0)
"""
DOWN = "Unable to contact slurm controller (connect failure)"


class Queue:
    """A faked cluster in ``folder``, which belongs on the PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        for name, text in (("squeue", SQUEUE), ("scancel", SCANCEL)):
            (folder / name).write_text(text.format(python=sys.executable))
            (folder / name).chmod(0o755)
        self.holds([])

    @property
    def path(self) -> str:
        """The PATH with this cluster's programs."""
        return os.pathsep.join([str(self.folder), os.environ["PATH"]])

    def holds(self, *looks: list | str) -> None:
        """From now on the queue is each of ``looks`` in turn: lists of :func:`job`, or an error."""
        (self.folder / "looks.json").write_text(json.dumps(looks))

    def said(self, name: str) -> list:
        """What a program has written down about its last call: ``asked`` or ``cancelled``."""
        file = self.folder / f"{name}.json"
        return json.loads(file.read_text()) if file.exists() else []


def job(id_: int, prefix: str, cohort: str = "a", state: str = "RUNNING") -> list[str]:
    """A job in the queue, as our format string has it."""
    start = "N/A" if state == "PENDING" else "2026-03-01T10:00:00"
    name, comment = f"{prefix}_3f6c-uuid", f"rule_train_wildcards_{cohort}"
    return [str(id_), state, start, "2026-03-01T09:00:00", name, comment]
