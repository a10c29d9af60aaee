"""The command line: one verb a station; files in, one call, files out."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from .errors import UserError, of_disk
from .study import preloaded, slots

CONFIG = {"metavar": "CONFIG", "help": "a name in workflow/config/, or the path of a YAML file"}
RESULTS = {"type": Path, "metavar": "RESULTS", "help": "folder results/<study>"}
DEVICES = ("auto", "cpu", "cuda", "mps")
Verb = Callable[..., argparse.ArgumentParser]  # (name, run, says): adds a verb


def main(arguments: list[str] | None = None) -> int:
    """Run the verb that the arguments name; a user's mistake is shown without a traceback."""
    sys.path.insert(0, str(Path.cwd()))  # a part of the user's own: module:attribute
    arguments = sys.argv[1:] if arguments is None else arguments
    parsed = _parser().parse_args(arguments)
    if parsed.run is _train and (status := preloaded.forward(arguments)) is not None:
        return status
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


def _study(a: argparse.Namespace) -> int:
    from .study.run import run_study

    return run_study(a.config, a.profile, limit=a.failures)


def _plan(a: argparse.Namespace) -> None:
    from .study import plan
    from .study.description import description
    from .study.sizes import Places

    planned = plan.make(a.config, a.out)
    if a.out:
        plan.write(planned, a.out)
    places = Places.of_profile(a.profile) if a.profile else Places.here()
    print(description(planned, places), flush=True)  # noqa: T201
    if not (a.out or a.quick):
        from .micro_runs import report

        print("\n".join(report(planned, places)), flush=True)  # noqa: T201
    if a.budget:
        from .study.budget import shrink

        print(shrink(planned, a.budget, places if a.profile else None, a.claims, a.out_config))  # noqa: T201


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
    import pandas as pd

    from .engine import job
    from .engine.watch import Stopped, watching
    from .provenance import provenance
    from .study.grid import digest
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
    else:
        from .report.paper import build

        build(a.source, a.results, a.out / "paper.html", a.out / "paper.pdf")


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
    from .table import write_text

    sample = verify.Sample(a.share, a.least, a.seed, a.seconds)
    with slots.slot(a.device, os.environ):
        found = verify.verify(a.results, sample, a.device)
    write_text(a.results / "claims/verified.json", verify.as_json(found))
    print(verify.text(found))  # noqa: T201
    return 1 if found.fails and not a.record else 0


def _publish(a: argparse.Namespace) -> None:
    from .report.publish import publish

    publish(a.results, a.root)


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
    from .study.config import json_schema
    from .table import write_text
    from .tables import data_dictionary

    write_text(a.root / "workflow/config/schema.json", json_schema())
    write_text(a.root / "reports/data-dictionary.md", data_dictionary())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vanishing",
        description="Where does the gradient go, and which remedies bring it back?",
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def verb(name: str, run: object, says: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=says, description=says)
        added.set_defaults(run=run)
        return added

    _add_studies(verb)
    _add_stations(verb)
    _add_reference(verb)
    return parser


def _add_studies(verb: Verb) -> None:
    """What is done with a whole study."""
    study = verb("study", _study, "Run a study from its config to its paper.")
    study.add_argument("config", **CONFIG)
    study.add_argument("--profile", default="default", help="name or path of a profile")
    says = "stop when so many cohorts have failed of one error, and few have not (5; 0: never)"
    study.add_argument("--failures", type=int, default=5, metavar="N", help=says)

    plan = verb("plan", _plan, "Check a config, say what it runs and costs; with --out, write it.")
    plan.add_argument("config", **CONFIG)
    plan.add_argument("--out", **RESULTS)
    plan.add_argument("--profile", help="whose cores or jobs at a time the wall time is for")
    plan.add_argument("--quick", action="store_true", help="no timed micro-runs on this machine")
    budget = "90m, 4h, 2d of CPU, or with --profile of its clock: write the part that fits"
    plan.add_argument("--budget", help=budget)
    plan.add_argument("--out-config", type=Path, help="where to (<study>-<budget>.yaml)")
    plan.add_argument("--claims", type=Path, default=Path("reports/claims.yaml"))

    says = "Train some cohorts of a study for a few steps, and keep nothing: can they be trained?"
    rehearse = verb("rehearse", _rehearse, says)
    rehearse.add_argument("config", **CONFIG)
    rehearse.add_argument("--cohorts", type=int, default=12, help="so many, at random")
    rehearse.add_argument("--steps", type=int, default=2, help="updates of each")
    rehearse.add_argument("--runs", type=int, default=2, help="runs of each")
    rehearse.add_argument("--seed", type=int, default=0, help="draws the cohorts")
    rehearse.add_argument("--device", default="auto", choices=DEVICES)

    status = verb("status", _status, "Say what of a study is done, from its files alone.")
    status.add_argument("config", **CONFIG)
    says = "draw it anew every two seconds, until the study has ended or Ctrl-C"
    status.add_argument("--watch", action="store_true", help=says)

    _add_recover(verb)

    compare = verb("compare", _compare, "Say what moved between two studies' results, and why.")
    compare.add_argument("first", type=Path, metavar="A", help="folder results/<study>")
    compare.add_argument("second", type=Path, metavar="B", help="the other one")
    compare.add_argument("--all", action="store_true", help="list every fact that moved")
    compare.add_argument("--out", type=Path, help="folder for verdicts.csv, facts.csv, cells.csv")

    _add_verify(verb)

    claim = verb("claim", _claim, "Follow a verdict down: words, test, strata, runs.")
    claim.add_argument("id", metavar="CLAIM", help="C06, as in reports/claims.yaml")
    claim.add_argument("--results", **(RESULTS | {"default": Path("results/laptop")}))
    claim.add_argument("--claims", type=Path, default=Path("reports/claims.yaml"))
    claim.add_argument("--runs", action="store_true", help="only the ids of its runs, one a line")

    publish = verb("publish", _publish, "Copy a study's verdicts to README and reports/published.")
    publish.add_argument("results", **RESULTS)
    publish.add_argument("--root", type=Path, default=Path())


def _add_recover(verb: Verb) -> None:
    says = (
        "Clear up after the head of a study died: its jobs on a cluster, torn files, locks. "
        "Status 0 when the study can go on, 1 while its jobs are in the queue, 2 if it was refused."
    )
    recover = verb("recover", _recover, says)
    recover.add_argument("config", **CONFIG)
    what = recover.add_mutually_exclusive_group()
    what.add_argument("--wait", action="store_true", help="let its jobs finish: their logs count")
    what.add_argument("--cancel", action="store_true", help="end its jobs")
    limit = "give up --wait after so long: 90s, 30m, 2h, 1d (never)"
    recover.add_argument("--timeout", type=_seconds, default=float("inf"), help=limit)
    gone = "believe no sign of life of a head on another machine"
    recover.add_argument("--head-is-gone", action="store_true", help=gone)


def _seconds(text: str) -> float:
    from .study.durations import seconds

    try:
        return seconds(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _add_verify(verb: Verb) -> None:
    says = "Train a random share of a study's runs again, and compare them with its tables."
    verify = verb("verify", _verify, says)
    verify.add_argument("results", **RESULTS)
    verify.add_argument("--share", type=float, default=0.002, help="of its runs (0.002)")
    verify.add_argument("--least", type=int, default=8, help="runs, however small the share (8)")
    verify.add_argument("--seconds", type=float, default=float("inf"), help="of training, about")
    verify.add_argument("--seed", type=int, default=0, help="of the random draw (0)")
    verify.add_argument("--device", default="auto", choices=DEVICES)
    record = "status 0 and not 1 where a run is off: write down only"
    verify.add_argument("--record", action="store_true", help=record)


def _add_stations(verb: Verb) -> None:
    """What the Snakefile's rules call, in the order of the stations."""
    train = verb("train", _train, "Train the runs of a cohort and write its logs.")
    train.add_argument("cohort", type=Path, metavar="COHORT", help="cohorts/<id>.json")
    train.add_argument("--logs", type=Path, required=True, help="folder results/<study>/logs")
    train.add_argument("--tuning", type=Path, nargs="*", help="runs logs that give the rates")
    train.add_argument("--device", default="auto", choices=DEVICES)

    gather = verb("gather", _gather, "Put the logs of all cohorts together as tables.")
    gather.add_argument("results", **RESULTS)

    predict = verb("predict", _predict, "Write what mean-field theory predicts of every cell.")
    predict.add_argument("results", **RESULTS)
    predict.add_argument(
        "--out", type=Path, required=True, help="predictions.parquet; the others go beside"
    )

    judge = verb("judge", _judge, "Judge the claims: summary, ledger and facts from the tables.")
    judge.add_argument("results", **RESULTS)
    judge.add_argument("--claims", type=Path, default=Path("reports/claims.yaml"))

    render = verb("render", _render, "Execute a notebook (.py), or build the paper (.md).")
    render.add_argument("source", type=Path, help="a notebook .py, or paper.md")
    render.add_argument("--results", **RESULTS, required=True)
    render.add_argument("--out", type=Path, required=True, help="an .ipynb, or a folder")


def _add_reference(verb: Verb) -> None:
    """What there is to write into a config."""
    says = "List every part: formula, source, chi_1, and what it combines with."
    parts = verb("parts", _parts, says)
    kinds = "activation, init, norm, ...: one kind"
    parts.add_argument("kind", nargs="?", metavar="KIND", help=kinds)
    parts.add_argument("--family", help="only what this family can have: mlp, cnn, rnn or gan")

    check = verb("check", _check, "Hold a part of your own to the contract of the registered ones.")
    check.add_argument(
        "part", metavar="MODULE:ATTRIBUTE", help="my_parts:snake, of my_parts.py here"
    )

    docs = verb("docs", _schema, "Write the config's JSON schema and the data dictionary.")
    docs.add_argument("--root", type=Path, default=Path())
