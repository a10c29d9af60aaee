"""The tables of what is concluded: verdicts, what they rest on, and what else was looked at."""

from __future__ import annotations

from ..table import Column, Table
from .of_runs import RUN_ID, RUNS

_CLAIM = Column("string", "1", "id in reports/claims.yaml")
LEDGER = Table(
    "ledger",
    "a claim in a stratum; the stratum 'all' carries the verdict",
    ("claim", "stratum"),
    {
        "claim": _CLAIM,
        "stratum": Column("string", "1", "'all', or the cells that this row rests on"),
        "statistic": Column("string", "1", "what value is"),
        "value": Column("float64", "the statistic's", "the estimate", null="nothing to estimate it from"),
        "low": Column("float64", "the statistic's", "lower end of the 95 % interval; over a claim's strata they hold at once", null="nothing to estimate it from, or too few seeds for an interval"),
        "high": Column("float64", "the statistic's", "upper end of the 95 % interval; over a claim's strata they hold at once", null="nothing to estimate it from, or too few seeds for an interval"),
        "n": Column("int64", "seeds", "seeds that it rests on"),
        "p": Column("float64", "1", "of the registered test", null="nothing to test"),
        "p_holm": Column("float64", "1", "p after Holm's correction over the claims", null="not a primary test"),
        "p_bh": Column("float64", "1", "p after Benjamini and Hochberg's correction over the secondary tests", null="not an exploratory test"),
        "verdict": Column("string", "1", "SUPPORTED, REFUTED, CONDITIONAL, INCONCLUSIVE, INCOMPLETE, NOT TESTABLE"),
        "planned": Column("int64", "runs", "runs that it needs"),
        "done": Column("int64", "runs", "of these, runs that are there"),
        "diverged": Column("int64", "runs", "of these, runs that diverged"),
        "seeds_needed": Column("int64", "seeds", "about how many would decide it, if effect and spread stay", null="decided, or nothing to tell it from"),
        "specifications": Column("int64", "1", "other specifications that the claim was judged by", null="a stratum, or nothing to judge"),
        "agreeing": Column("float64", "1", "share of these with the same verdict", null="the claim is not decided, or no specification has runs"),
        "reason": Column("string", "1", "why this verdict; the strata, where they differ"),
    },
)  # fmt: skip

EVIDENCE = Table(
    "evidence",
    "a run that a row of the ledger rests on",
    ("claim", "stratum", "run_id"),
    {
        "claim": _CLAIM,
        "stratum": LEDGER.columns["stratum"],
        "run_id": RUN_ID,
    },
)  # fmt: skip

SPECIFICATIONS = Table(
    "specifications",
    "a claim's primary analysis with one thing changed",
    ("claim", "specification"),
    {
        "claim": _CLAIM,
        "specification": Column("string", "1", "what is changed: smallest effect x 0.5 or x 2, or the name that the registry gives other batteries"),
        "value": Column("float64", "the statistic's", "the estimate", null="nothing to estimate it from"),
        "low": Column("float64", "the statistic's", "lower end of the 95 % interval", null="no interval"),
        "high": Column("float64", "the statistic's", "upper end of the 95 % interval", null="no interval"),
        "n": Column("int64", "seeds", "seeds that it rests on"),
        "verdict": Column("string", "1", "by its interval and its own p, without correction for the other claims"),
        "agrees": Column("bool", "1", "whether that is the claim's verdict"),
    },
)  # fmt: skip

FALSE_POSITIVES = Table(
    "false_positives",
    "a contrast of an arm with itself: seeds of the control, of which a random half plays the treatment",
    ("claim", "draw"),
    {
        "claim": _CLAIM,
        "draw": Column("int64", "1", "number of the random halving"),
        "n": Column("int64", "seeds", "pairs of seeds"),
        "p": Column("float64", "1", "one-sided p of the registered test against no effect"),
        "covered": Column("bool", "1", "whether the 95 % interval holds 0"),
        "verdict": Column("string", "1", "of the registered rule, smallest effect and all"),
    },
)  # fmt: skip

IMPORTANCE = Table(
    "importance",
    "a factor, or a pair of them, of a battery and what it explains of a measure",
    ("battery", "measure", "term"),
    {
        "battery": RUNS.columns["battery"],
        "measure": Column("string", "1", "slope (of delta), weight_slope (V_w over the layers between) or test_accuracy"),
        "term": Column("string", "1", "a factor, or two joined by a colon: their interaction"),
        "order": Column("int64", "1", "1 for a factor, 2 for an interaction"),
        "omega_squared": Column("float64", "1", "share of the variance that it explains, freed of chance: type II sums of squares, the seed as a block"),
        "low": Column("float64", "1", "lower end of the 95 % bootstrap interval over seeds", null="fewer than two seeds"),
        "high": Column("float64", "1", "upper end of the 95 % bootstrap interval over seeds", null="fewer than two seeds"),
        "n": Column("int64", "seeds", "seeds that it rests on"),
    },
)  # fmt: skip

FRONTIERS = Table(
    "frontiers",
    "an arm of a battery: how deep its networks may be and still train",
    ("battery", "activation", "init", "norm", "residual"),
    {
        "battery": RUNS.columns["battery"],
        **{n: RUNS.columns[n] for n in ("activation", "init", "norm", "residual")},
        "depth_50": Column("float64", "layers", "L_50: depth at which half of the runs train, by a logistic curve over log depth", null="no run trains or all do, or success does not fall with depth"),
        "low": Column("float64", "layers", "lower end of the 95 % bootstrap interval over seeds", null="no bound is seen at this end, or fewer than two seeds"),
        "high": Column("float64", "layers", "upper end of the 95 % bootstrap interval over seeds", null="no bound is seen at this end, or fewer than two seeds"),
        "beyond": Column("string", "1", "deeper: at least half of the runs train at the greatest depth; shallower: fewer than half at the least; else inside"),
        "xi": Column("float64", "layers", "depth scale xi_c of the correlation, by theory", null="no theory, or above 10,000, which is infinite but for rounding"),
        "n": Column("int64", "seeds", "seeds that it rests on"),
    },
)  # fmt: skip

# The tables of the folder claims/; all others are in tables/.
OF_CLAIMS = (LEDGER.name, EVIDENCE.name, SPECIFICATIONS.name, FALSE_POSITIVES.name)
