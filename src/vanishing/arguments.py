"""The arguments of every verb of the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

from .errors import UserError

CONFIG = {"metavar": "CONFIG", "help": "a name in workflow/config/, or the path of a YAML file"}
RESULTS = {"type": Path, "metavar": "RESULTS", "help": "folder results/<study>"}
DEVICES = ("auto", "cpu", "cuda", "mps")
Run = Callable[[argparse.Namespace], "int | None"]
Verb = Callable[..., argparse.ArgumentParser]  # (name, says): adds a verb


def parser(run: Mapping[str, Run]) -> argparse.ArgumentParser:
    """The parser of the command line; ``run`` has what each verb does."""
    arguments = argparse.ArgumentParser(
        prog="vanishing",
        description="Where does the gradient go, and which remedies bring it back?",
    )
    verbs = arguments.add_subparsers(required=True, metavar="VERB")

    def verb(name: str, says: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=says, description=says)
        added.set_defaults(run=run[name])
        return added

    _add_studies(verb)
    _add_stations(verb)
    _add_reference(verb)
    return arguments


def _add_studies(verb: Verb) -> None:
    """What is done with a whole study."""
    study = verb("study", "Run a study from its config to its paper.")
    study.add_argument("config", **CONFIG)
    study.add_argument("--profile", default="default", help="name or path of a profile")
    says = "stop when so many cohorts have failed of one error, and few have not (5; 0: never)"
    study.add_argument("--failures", type=int, default=5, metavar="N", help=says)

    plan = verb("plan", "Check a config, say what it runs and costs; with --out, write it.")
    plan.add_argument("config", **CONFIG)
    plan.add_argument("--out", **RESULTS)
    plan.add_argument("--profile", help="whose cores or jobs at a time the wall time is for")
    plan.add_argument("--quick", action="store_true", help="no timed micro-runs on this machine")
    budget = "90m, 4h, 2d of CPU, or with --profile of its clock: write the part that fits"
    plan.add_argument("--budget", help=budget)
    plan.add_argument("--out-config", type=Path, help="where to (<study>-<budget>.yaml)")
    plan.add_argument("--claims", type=Path, default=Path("reports/claims.yaml"))

    says = "Train some cohorts of a study for a few steps, and keep nothing: can they be trained?"
    rehearse = verb("rehearse", says)
    rehearse.add_argument("config", **CONFIG)
    rehearse.add_argument("--cohorts", type=int, default=12, help="so many, at random")
    rehearse.add_argument("--steps", type=int, default=2, help="updates of each")
    rehearse.add_argument("--runs", type=int, default=2, help="runs of each")
    rehearse.add_argument("--seed", type=int, default=0, help="draws the cohorts")
    rehearse.add_argument("--device", default="auto", choices=DEVICES)

    says = "Write the paper of what is done, into results/<study>/partial, while a study may run."
    paper = verb("paper", says)
    paper.add_argument("config", **CONFIG)

    report = verb("report", "Finish a study, and write Snakemake's own report of how it was made.")
    report.add_argument("config", **CONFIG)
    report.add_argument("--profile", default="default", help="name or path of a profile")

    status = verb("status", "Say what of a study is done, from its files alone.")
    status.add_argument("config", **CONFIG)
    says = "draw it anew every two seconds, until the study has ended or Ctrl-C"
    status.add_argument("--watch", action="store_true", help=says)

    _add_recover(verb)

    compare = verb("compare", "Say what moved between two studies' results, and why.")
    compare.add_argument("first", type=Path, metavar="A", help="folder results/<study>")
    compare.add_argument("second", type=Path, metavar="B", help="the other one")
    compare.add_argument("--all", action="store_true", help="list every fact that moved")
    compare.add_argument("--out", type=Path, help="folder for verdicts.csv, facts.csv, cells.csv")

    _add_verify(verb)

    claim = verb("claim", "Follow a verdict down: words, test, strata, runs.")
    claim.add_argument("id", metavar="CLAIM", help="C06, as in reports/claims.yaml")
    claim.add_argument("--results", **(RESULTS | {"default": Path("results/laptop")}))
    claim.add_argument("--claims", type=Path, default=Path("reports/claims.yaml"))
    claim.add_argument("--runs", action="store_true", help="only the ids of its runs, one a line")

    publish = verb("publish", "Copy a study's verdicts to README and reports/published.")
    publish.add_argument("results", **RESULTS)
    publish.add_argument("--root", type=Path, default=Path())


def _add_recover(verb: Verb) -> None:
    says = (
        "Clear up after the head of a study died: its jobs on a cluster, torn files, locks. "
        "Status 0 when the study can go on, 1 while its jobs are in the queue, 2 if it was refused."
    )
    recover = verb("recover", says)
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
    verify = verb("verify", says)
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
    train = verb("train", "Train the runs of a cohort and write its logs.")
    train.add_argument("cohort", type=Path, metavar="COHORT", help="cohorts/<id>.json")
    train.add_argument("--logs", type=Path, required=True, help="folder results/<study>/logs")
    train.add_argument("--tuning", type=Path, nargs="*", help="runs logs that give the rates")
    train.add_argument("--device", default="auto", choices=DEVICES)

    gather = verb("gather", "Put the logs of all cohorts together as tables.")
    gather.add_argument("results", **RESULTS)

    predict = verb("predict", "Write what mean-field theory predicts of every cell.")
    predict.add_argument("results", **RESULTS)
    predict.add_argument(
        "--out", type=Path, required=True, help="predictions.parquet; the others go beside"
    )

    judge = verb("judge", "Judge the claims: summary, ledger and facts from the tables.")
    judge.add_argument("results", **RESULTS)
    judge.add_argument("--claims", type=Path, default=Path("reports/claims.yaml"))

    says = "Execute a notebook, build the paper, draw the rules, or set figures in ink on white."
    render = verb("render", says)
    render.add_argument("source", type=Path, help="notebook .py, paper.md, graph .dot, or figures/")
    render.add_argument("--results", **RESULTS, required=True)
    render.add_argument("--out", type=Path, required=True, help="an .ipynb, an .svg, or a folder")

    kernel = verb("kernel", "Be the kernel that `render` executes a notebook on.")
    kernel.add_argument("connection", type=Path, metavar="FILE", help="of Jupyter's connection")

    says = "Put paper, tables, notebooks and figures into report/bundle.zip, an RO-Crate."
    bundle = verb("bundle", says)
    bundle.add_argument("results", **RESULTS)
    bundle.add_argument("--root", type=Path, default=Path(), help="the project's folder (here)")


def _add_reference(verb: Verb) -> None:
    """What there is to write into a config."""
    says = "List every part: formula, source, chi_1, and what it combines with."
    parts = verb("parts", says)
    kinds = "activation, init, norm, ...: one kind"
    parts.add_argument("kind", nargs="?", metavar="KIND", help=kinds)
    parts.add_argument("--family", help="only what this family can have: mlp, cnn, rnn or gan")

    check = verb("check", "Hold a part of your own to the contract of the registered ones.")
    check.add_argument(
        "part", metavar="MODULE:ATTRIBUTE", help="my_parts:snake, of my_parts.py here"
    )

    docs = verb("docs", "Write the config's JSON schema and the data dictionary.")
    docs.add_argument("--root", type=Path, default=Path())
