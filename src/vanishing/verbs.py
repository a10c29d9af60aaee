"""What the verbs of the command line do: files in, one call, files out."""

from __future__ import annotations

import argparse
import functools
import json
import os
import shutil
import sys
from pathlib import Path

from .arguments import parser
from .errors import UserError, of_disk
from .lazy import loading
from .study import slots


def run(arguments: list[str]) -> int:
    """Run the verb that the arguments name; a user's mistake is shown without a traceback."""
    sys.path.insert(0, str(Path.cwd()))  # a part of the user's own: module:attribute
    parsed = command_line().parse_args(arguments)
    try:
        return parsed.run(parsed) or 0
    except UserError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    except OSError as error:
        if (said := of_disk(error)) is None:
            raise
        print(said, file=sys.stderr)  # noqa: T201
        return 2


@functools.cache
def command_line() -> argparse.ArgumentParser:
    """The parser of all verbs, made once: a fork of a process that has made it needs none."""
    return parser(VERBS)


def _study(a: argparse.Namespace) -> int:
    from .study.run import run_study

    return run_study(a.config, a.profile, limit=a.failures)


def _plan(a: argparse.Namespace) -> None:
    from .study import index, plan
    from .study.description import description
    from .study.sizes import Places

    # Beside an index the plan is of its cohorts: Snakemake's jobs train these, and no others.
    planned = plan.make(a.config, a.out, index.laid_out(a.config, a.out) if a.out else None)
    if a.out:
        plan.write(planned, a.out)
    places = Places.of_profile(a.profile) if a.profile else Places.here()
    print(description(planned, places), flush=True)  # noqa: T201
    ratio = 1.0
    if not (a.out or a.quick):
        from .micro_runs import report

        lines, ratio = report(planned, places)
        _say("\n".join(lines))
    if a.budget:
        from .study.budget import shrink

        clock = places if a.profile else None
        _say(shrink(planned, a.budget, clock, a.claims, a.out_config, ratio))


def _rehearse(a: argparse.Namespace) -> int:
    from .rehearsal import drawn, rehearse
    from .study import plan

    cohorts = plan.make(a.config).cohorts
    found = []
    for r in rehearse(drawn(cohorts, a.cohorts, a.seed), a.steps, a.runs, a.device):
        found.append(r)
        line = f"{r.outcome:8} {r.cohort}  {r.task}  {r.runs} runs, {r.seconds:.1f} s"
        print(f"{line}\n         {r.why}" if r.why else line, flush=True)  # noqa: T201
    ended = [r.outcome for r in found]
    counts = ", ".join(f"{ended.count(o)} {o}" for o in sorted(set(ended)))
    print(f"{len(found)} of {len(cohorts)} cohorts: {counts}")  # noqa: T201
    return 1 if "failed" in ended else 0


def _train(a: argparse.Namespace) -> int:
    with loading():
        import pandas as pd

        from .engine import job
        from .engine.watch import Stopped, watching
        from .provenance import provenance
        from .study.identity import digest
        from .tables import RUN_LOG

    if not a.cohort.exists():
        raise UserError(f"there is no cohort {a.cohort}: `vanishing plan` writes it")
    cohort = json.loads(a.cohort.read_text())
    tuning = pd.concat([RUN_LOG.read(file) for file in a.tuning]) if a.tuning else None
    try:
        with (
            slots.slot(a.device, os.environ),
            watching(a.logs.parent, cohort["id"], len(cohort["runs"])) as watch,
        ):
            logs = job.run(cohort, tuning, a.device, watch=watch)
            job.write(logs, a.logs, cohort["id"], provenance(digest(cohort)))
            watch.checkpoints.remove()
    except Stopped as stopped:
        print(stopped, file=sys.stderr)  # noqa: T201
        return stopped.status
    return 0


def _gather(a: argparse.Namespace) -> None:
    from .analysis.gather import gather
    from .provenance import provenance
    from .study.plan import config_digest

    gather(a.results, provenance(config_digest(a.results)))


def _predict(a: argparse.Namespace) -> None:
    from .provenance import provenance
    from .study.plan import config_digest
    from .tables import TABLES
    from .theory.study import tables

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)  # noqa: T201

    stamp = provenance(config_digest(a.results))
    for name, table in tables(a.results, say).items():
        out = a.out if name == "predictions" else a.out.with_name(f"{name}.parquet")
        TABLES[name].write(table, out, stamp)


def _judge(a: argparse.Namespace) -> None:
    from .analysis.study import judge_study

    judge_study(a.results, a.claims)


def _claim(a: argparse.Namespace) -> None:
    from .report import claim_page
    from .report.claim_record import record

    found = record(a.results, a.claims, a.id)
    _show(claim_page.run_ids(found) if a.runs else claim_page.page(found, _columns()))


def _render(a: argparse.Namespace) -> None:
    if a.source.suffix == ".py":
        from .report.notebooks import execute

        execute(a.source, a.out, {"results": str(a.results)})
    elif a.source.suffix == ".dot":
        from .report.rulegraph import write

        write(a.source, a.out)
    elif a.source.is_dir():
        from .report.technical import set_figures

        set_figures(a.source, a.results / "notebooks", a.out)
    else:
        from .report.paper import build

        build(a.source, a.results, a.out / "paper.html", a.out / "paper.pdf")


def _kernel(a: argparse.Namespace) -> None:
    from .report.kernel import serve

    serve(a.connection)


def _status(a: argparse.Namespace) -> None:
    from .study import status

    (status.watch if a.watch else status.show)(a.config)


def _recover(a: argparse.Namespace) -> int:
    from .study.recover import recover

    choice = "wait" if a.wait else "cancel" if a.cancel else ""
    try:
        return recover(a.config, choice, a.timeout, gone=a.head_is_gone, say=_say)
    except KeyboardInterrupt:
        _say("stopped. What is in the cluster's queue stays there: recover again.")
        return 130


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


def _compare(a: argparse.Namespace) -> None:
    from .analysis.compare import compare
    from .report.comparison import text, write

    found = compare(a.first, a.second)
    if a.out:
        write(found, a.out)
    print(text(found, a.all))  # noqa: T201


def _verify(a: argparse.Namespace) -> int:
    from .analysis import verify
    from .files import write_text

    sample = verify.Sample(a.share, a.least, a.seed, a.seconds)
    with slots.slot(a.device, os.environ):
        found = verify.verify(a.results, sample, a.device)
    write_text(a.results / "claims/verified.json", verify.as_json(found))
    print(verify.text(found))  # noqa: T201
    return 1 if found.fails and not a.record else 0


def _publish(a: argparse.Namespace) -> None:
    from .report.publish import publish

    publish(a.results, a.root)


def _report(a: argparse.Namespace) -> int:
    from .report.technical import report

    return report(a.config, a.profile, _say)


def _paper(a: argparse.Namespace) -> None:
    from .report.partial import write

    _say("\n".join(write(a.config, _say).lines()))


def _bundle(a: argparse.Namespace) -> None:
    from .report.bundle import write

    _say(str(write(a.results, a.root)))


def _parts(a: argparse.Namespace) -> None:
    from .report.listing import text

    _show(text(a.kind, a.family, _columns()))


def _columns() -> int:
    """The width of a text: the terminal's, within what reads well."""
    return min(120, max(100, shutil.get_terminal_size((110, 24)).columns))


def _show(text: str) -> None:
    try:
        print(text, flush=True)  # noqa: T201
    except BrokenPipeError:  # the reader has seen enough: `vanishing parts | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _check(a: argparse.Namespace) -> int:
    from .contract.check import check

    kind, problems = check(a.part)
    if not problems:
        print(f"{a.part} keeps the contract of every {kind}")  # noqa: T201
    for problem in problems:
        print(f"{a.part}: {problem}", file=sys.stderr)  # noqa: T201
    return 2 if problems else 0


def _schema(a: argparse.Namespace) -> None:
    from .files import write_text
    from .study.config import json_schema
    from .tables import data_dictionary

    write_text(a.root / "workflow/config/schema.json", json_schema())
    write_text(a.root / "reports/data-dictionary.md", data_dictionary())


VERBS = {
    "study": _study,
    "plan": _plan,
    "rehearse": _rehearse,
    "paper": _paper,
    "report": _report,
    "status": _status,
    "compare": _compare,
    "claim": _claim,
    "publish": _publish,
    "recover": _recover,
    "verify": _verify,
    "train": _train,
    "gather": _gather,
    "predict": _predict,
    "judge": _judge,
    "render": _render,
    "kernel": _kernel,
    "bundle": _bundle,
    "parts": _parts,
    "check": _check,
    "docs": _schema,
}
