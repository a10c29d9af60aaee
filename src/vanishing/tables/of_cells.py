"""The tables with a row a cell, a claim: what theory expects, and what the runs come to."""

from __future__ import annotations

from ..table import Column, Table
from .of_runs import CELL, CENSORED, RUNS

PREDICTIONS = Table(
    "predictions",
    "a hidden layer of a cell, as mean-field theory predicts it at init",
    ("cell", "layer"),
    {
        "cell": CELL,
        "layer": Column("int64", "1", "1 is next to the input"),
        "q": Column("float64", "1", "mean square of h over a batch; of a plain network its geometric mean over networks", null="no theory"),
        "chi_1": Column("float64", "1", "factor of E[delta^2] from this layer to the one before it, in the mean field at this q", null="layer 1 has no hidden layer before it, or no theory"),
        "slope": Column("float64", "decades/layer", "the cell's slope over the same layers as the measured one", null="too few layers, or no theory"),
        "log10_delta_rms": Column("float64", "log10 nats", "rms of dL/dh", null="no theory"),
        "source": Column("string", "1", "formula and paper; 'none' where there is no theory"),
    },
)  # fmt: skip

EXPECTED = Table(
    "expected",
    "a quantity of a cell's networks, as theory predicts it at init",
    ("cell", "quantity"),
    {
        "cell": CELL,
        "quantity": Column("string", "1", "slope, vanishing_index, stream_growth (log10 of the squared gradient of the residual stream where it enters the first block, over that where it leaves the last), or a measure of networks"),
        "value": Column("float64", "the quantity's", "its prediction: a mean, a variance or a share over networks", null="no theory"),
        "source": Column("string", "1", "formula and paper; 'none' where there is no theory"),
    },
)  # fmt: skip

LAG_PREDICTIONS = Table(
    "lag_predictions",
    "a time lag of a layer of a recurrent cell, as theory predicts it at init; cells without a profile have no rows",
    ("cell", "layer", "lag"),
    {
        "cell": CELL,
        "layer": Column("int64", "1", "1 is next to the input"),
        "lag": Column("int64", "time steps", "T - t: 0 is the last time step"),
        "log10_delta_rms": Column("float64", "log10", "rms of dL/dh_t over that of the top layer at lag 0, which does not depend on the loss", null=CENSORED),
        "source": Column("string", "1", "formula and paper"),
    },
)  # fmt: skip

# The columns of runs that say which network a cell is, in the tables of cells.
NETWORK_FACTORS = (
    "family", "task", "activation", "init", "sigma_w", "norm", "norm_position", "residual", "block",
    "depth", "width", "stages", "padding", "recurrence", "length", "truncation", "game", "players",
    "generator", "latent", "discriminator_steps", "instance_noise", "normed",
)  # fmt: skip
AGREEMENT = Table(
    "agreement",
    "a quantity of a cell of a battery that theory predicts and the study measured, at init",
    ("battery", "cell", "quantity"),
    {
        "battery": RUNS.columns["battery"],
        "cell": CELL,
        "quantity": Column("string", "1", "what is predicted, as in expected"),
        **{name: RUNS.columns[name] for name in NETWORK_FACTORS},
        "predicted": Column("float64", "the quantity's", "what theory says"),
        "measured": Column("float64", "the quantity's", "mean over seeds; a variance or a share over seeds, where the quantity is one"),
        "low": Column("float64", "the quantity's", "lower end of the 95 % interval", null="fewer than two seeds"),
        "high": Column("float64", "the quantity's", "upper end of the 95 % interval", null="fewer than two seeds"),
        "n": Column("int64", "seeds", "seeds that it rests on"),
        "distance": Column("float64", "the quantity's", "measured minus predicted; of a relative quantity the difference of natural logarithms", null="one of the two is 0"),
        "tolerance": Column("float64", "the quantity's", "how far off the measurement may be"),
        "inside": Column("bool", "1", "whether it is no farther off"),
        "p_tost": Column("float64", "1", "p of the equivalence test within the tolerance", null="not a mean over seeds, or fewer than two"),
        "source": Column("string", "1", "formula and paper"),
    },
)  # fmt: skip

SUMMARY = Table(
    "summary",
    "an outcome of a cell of a battery, at one policy of learning rates, over its judged seeds",
    ("battery", "cell", "lr_policy", "outcome"),
    {
        "battery": RUNS.columns["battery"],
        "cell": CELL,
        **{name: RUNS.columns[name] for name in (*NETWORK_FACTORS, "optimizer", "schedule", "clip", "lr_policy")},
        "outcome": Column("string", "1", "the column of runs that is summarised"),
        "n": Column("int64", "runs", "seeds that it rests on"),
        "value": Column("float64", "the outcome's", "interquartile mean over seeds", null="no run has it"),
        "low": Column("float64", "the outcome's", "lower end of the 95 % bootstrap interval", null="fewer than two runs"),
        "high": Column("float64", "the outcome's", "upper end of the 95 % bootstrap interval", null="fewer than two runs"),
    },
)  # fmt: skip

PROFILES = Table(
    "profiles",
    "a quantity of a cell, at one policy of learning rates, at a probe step and a place in its nets, over its judged runs, each once",
    ("cell", "lr_policy", "step", "quantity", "place"),
    {
        "cell": CELL,
        "lr_policy": RUNS.columns["lr_policy"],
        "step": Column("int64", "updates", "updates made so far; 0 is the initial network"),
        "quantity": Column("string", "1", "at init: log10_q and log10_delta_rms of a layer, saturation (share of saturated units, mean over the hidden layers), lag_decay (log10 rms of dL/dh_t of the top layer less that at lag 0), test_accuracy; at all probe steps: layer_decay (of a few trainings, chosen by rule: log10 rms of dL/dh of a layer less that of the last one), lag_slope of the top layer, generator_gradient (log10 of its norm, less that at init), discriminator_accuracy, saturation_generated, and every score by its name"),
        "place": Column("float64", "the quantity's", "layer, time lag, or level of a score; 0 where there is none"),
        "n": Column("int64", "runs", "runs that have it"),
        "mean": Column("float64", "the quantity's", "mean over them"),
        "sd": Column("float64", "the quantity's", "their standard deviation, of n - 1 degrees of freedom", null="one run"),
    },
)  # fmt: skip

_ESTIMATE = {
    "low": Column("float64", "the value's", "lower end of its 95 % interval", null="fewer than two seeds"),
    "high": Column("float64", "the value's", "upper end of its 95 % interval", null="fewer than two seeds"),
    "n": Column("int64", "seeds", "seeds that it rests on"),
}  # fmt: skip
CASES = Table(
    "cases",
    "a score of a task that has levels, of a condition at a level and a probe step, over its seeds",
    ("score", "task", "family", "recurrence", "activation", "init", "level", "step"),
    {
        "score": Column("string", "1", "error_by_level and sensitivity_by_level (at the last probe step), accuracy_by_level, or the measure fine_at_matched_coarse"),
        **{name: RUNS.columns[name] for name in ("task", "family", "recurrence", "activation", "init")},
        "level": Column("float64", "the task's", "level of the score; of the measure the accuracy at which runs are compared"),
        "step": Column("int64", "updates", "updates made so far", null="the measure: each run has its own"),
        "value": Column("float64", "1", "mean over depths within a seed, then over seeds"),
        **_ESTIMATE,
    },
)  # fmt: skip

INTERACTIONS = Table(
    "interactions",
    "a level of two factors each, of a pair that interacts most in a battery, by a measure",
    ("battery", "term", "measure", "x_level", "line_level"),
    {
        "battery": RUNS.columns["battery"],
        "term": Column("string", "1", "the two factors, as in importance"),
        "measure": Column("string", "1", "the measure of a run that is averaged"),
        "x": Column("string", "1", "the factor along the axis"),
        "x_level": Column("string", "1", "its level, as text"),
        "line": Column("string", "1", "the factor that has lines"),
        "line_level": Column("string", "1", "its level, as text"),
        "value": Column("float64", "the measure's", "mean over the runs of a seed with both levels, then over judged seeds"),
        **_ESTIMATE,
        "omega_squared": Column("float64", "1", "share of the variance that the pair explains beyond its factors"),
    },
)  # fmt: skip
