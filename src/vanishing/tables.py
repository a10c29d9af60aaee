"""Every table of the study, declared once: what a row is, its key, each column's type, unit, meaning.

Writers and readers both go through :meth:`Table.check`, so a table on disk never differs from what
is said here; ``reports/data-dictionary.md`` is rendered from these declarations.
"""

from __future__ import annotations

from .table import Column, Table

_RUN_ID = Column("string", "1", "hash of the run's resolved settings")
_CELL = Column("string", "1", "hash of the run's settings without seed and learning rate")
_STEP = Column("int64", "updates", "updates made so far; 0 is the initial network")
_CENSORED = "exactly zero: log10 does not exist (see the zero fraction)"
_UNTRAINED = "the run is of an init battery: nothing was trained"

RUNS = Table(
    "runs",
    "a run (one training of one network) in a battery",
    ("battery", "run_id"),
    {
        "run_id": _RUN_ID,
        "cell": _CELL,
        "cohort": Column("string", "1", "the cohort that trained the run"),
        "battery": Column("string", "1", "the block of the config that asks for the run"),
        "family": Column("string", "1", "kind of network: mlp or cnn"),
        "task": Column("string", "1", "the data that it learns"),
        "data": Column("string", "1", "digest of the data, where it is the user's own; else empty"),
        "activation": Column("string", "1", "elementwise nonlinearity phi"),
        "init": Column("string", "1", "rule that draws the initial weights"),
        "sigma_w": Column("float64", "1", "root mean square of a weight of the hidden layer in the middle, times the root of fan_in"),
        "sigma_b": Column("float64", "1", "sd of a bias of that layer"),
        "norm": Column("string", "1", "normalisation of a layer's values, or of its weights"),
        "norm_position": Column("string", "1", "whether the norm stands before or after phi"),
        "residual": Column("string", "1", "how a block's input joins its output"),
        "block": Column("int64", "layers", "layers of a residual block"),
        "depth": Column("int64", "layers", "hidden layers"),
        "width": Column("int64", "units", "units of a hidden layer; of a CNN, channels of its first stage"),
        "stages": Column("int64", "1", "stages of a CNN: each after the first halves the image"),
        "padding": Column("string", "1", "of a CNN's image at its border: zero or circular"),
        "loss": Column("string", "1", "what is made small"),
        "optimizer": Column("string", "1", "rule that updates the weights"),
        "schedule": Column("string", "1", "how the learning rate changes over the training"),
        "clip": Column("string", "1", "how gradients are clipped before an update"),
        "lr": Column("float64", "1", "learning rate used", null=_UNTRAINED),
        "lr_policy": Column("string", "1", "tuned (with its grid), fixed (at a rate), or none"),
        "batch": Column("int64", "samples", "samples of an update"),
        "steps": Column("int64", "updates", "updates of the training"),
        "probe_batch": Column("int64", "samples", "samples that everything but accuracy is measured on"),
        "seed": Column("int64", "1", "gives initial draws, split and order of the data"),
        "split": Column("string", "1", "tuning (chose a rate) or judged (counts in claims)"),
        "outcome": Column(
            "string", "1", "first match of: diverged, dead, trained, stalled, slow", null=_UNTRAINED
        ),
        "signal": Column("string", "1", "the cell's gradient at init: healthy, vanishing, ..."),
        "final_loss": Column(
            "float64", "nats", "mean training loss of the last 10 updates", null=_UNTRAINED + ", or it diverged"
        ),
        "final_train_accuracy": Column(
            "float64", "1", "share right on the training split, at the end", null=_UNTRAINED
        ),
        "final_test_accuracy": Column(
            "float64", "1", "share right on the test split, at the end", null=_UNTRAINED
        ),
        "steps_to_threshold": Column(
            "int64", "updates", "first update with smoothed loss at half of chance",
            null="never reached within the steps (censored)",
        ),
        "first_nonfinite_step": Column(
            "int64", "updates", "the first update with a loss that was not finite, or that left weights that are not", null="all were finite"
        ),
        "first_nonfinite_layer": Column(
            "int64", "1", "the first layer with a non-finite h (or weight) at that update; depth + 1 is the head or the loss itself",
            null="all were finite",
        ),
        "vanishing_index": Column(
            "float64", "decades", "V at init: log10 rms(delta_1) - log10 rms(delta_L)", null=_CENSORED
        ),
        "weight_vanishing_index": Column(
            "float64", "decades", "V_w at init: the same on the weight gradient", null=_CENSORED
        ),
        "slope": Column(
            "float64", "decades/layer", "log10 rms(delta) per layer towards the input, at init",
            null=_CENSORED + ", or too few layers",
        ),
        "seconds": Column("float64", "s", "the run's share of the wall time of its stack"),
        "device": Column("string", "1", "where it was trained"),
    },
)  # fmt: skip

CURVES = Table(
    "curves",
    "a run at a step",
    ("run_id", "step"),
    {
        "run_id": _RUN_ID,
        "step": _STEP,
        "train_loss": Column("float32", "nats", "loss of the batch before the update", null="non-finite, or after the last update"),
        "test_accuracy": Column(
            "float32", "1", "share right on the test split", null="not measured at this step"
        ),
    },
)  # fmt: skip

_NEEDS_TRAINING = "no update was made before this step"
_BLOCK_OFF = "the battery does not switch on the block {}"
_AT_ENDS = _BLOCK_OFF + ", neither the first step nor the last, or non-finite"
_TOO_LARGE = ", or h_L has more than 1024 values or dh_L/dx more than 2^21"
LAYERS = Table(
    "layers",
    "a hidden layer of a player of a run at a probe step, measured on the fixed probe batch",
    ("run_id", "step", "player", "layer"),
    {
        "run_id": _RUN_ID,
        "step": _STEP,
        "player": Column("string", "1", "net, or generator and discriminator"),
        "layer": Column("int64", "1", "1 is next to the input"),
        "log10_delta_rms": Column("float32", "log10 nats", "rms of dL/dh over units and samples, L per sample", null=_CENSORED),
        "log10_grad_rms": Column("float32", "log10 nats", "rms of dL/dW, L the mean over the probe batch", null=_CENSORED),
        "grad_mean": Column("float64", "nats", "mean of dL/dW", null="non-finite"),
        "grad_sd": Column("float64", "nats", "sd of dL/dW", null="non-finite"),
        "grad_zero_fraction": Column("float32", "1", "share of dL/dW that is exactly 0"),
        "delta_zero_fraction": Column("float32", "1", "share of dL/dh that is exactly 0"),
        "underflow_fp16": Column("float32", "1", "share of nonzero dL/dW that float16 rounds to 0"),
        "underflow_bf16": Column("float32", "1", "share of nonzero dL/dW that bfloat16 rounds to 0"),
        "underflow_fp32": Column("float32", "1", "share of nonzero dL/dW that float32 rounds to 0"),
        "subnormal_fp16": Column("float32", "1", "share of nonzero dL/dW below the smallest normal float16"),
        "subnormal_fp32": Column("float32", "1", "share of nonzero dL/dW below the smallest normal float32, which is bfloat16's too"),
        "nonfinite_fraction": Column("float32", "1", "share of h and dL/dh that is not finite"),
        "activation_mean": Column("float64", "1", "mean of a, what leaves the layer: phi(h), with a norm after phi and a residual that joins there", null="non-finite"),
        "activation_sd": Column("float64", "1", "sd of a, as above", null="non-finite"),
        "q": Column("float64", "1", "mean square of h", null="non-finite"),
        "saturation_low": Column("float32", "1", "share of h below the peak of phi' with phi'(h) <= .1 max phi'"),
        "saturation_high": Column("float32", "1", "share of h above the peak of phi' with phi'(h) <= .1 max phi'"),
        "dead_fraction": Column("float32", "1", "share of units with phi'(h) = 0 for every probe input"),
        "update_ratio": Column("float64", "1", "norm of the last update of W over the norm of W before it", null=_NEEDS_TRAINING + ", or W was 0"),
        "total_change": Column("float64", "1", "norm of W minus the initial W, over the norm of the initial W", null=_NEEDS_TRAINING + ", or W began as 0"),
        "consecutive_cosine": Column("float32", "1", "cosine of dL/dW of the last two updates, each on its own batch", null="fewer than two updates, or a zero"),
        "snr": Column("float64", "1", "squared mean over variance of dL/dW of micro-batches, freed of its bias", null=_BLOCK_OFF.format("noise") + ", or the micro-batches do not differ, or non-finite"),
        "interference": Column("float64", "1", "norm of what the update of the layers below changes in dL/dW, over the norm of dL/dW", null=_BLOCK_OFF.format("interference") + ", no update was made, dL/dW is 0, or non-finite"),
        "interference_cosine": Column("float32", "1", "cosine of dL/dW before and after the update of the layers below", null=_BLOCK_OFF.format("interference") + ", no update was made, one of them is 0, or non-finite"),
        "reset_accuracy": Column("float32", "1", "share right on the training split when this layer alone is set back to its initial values", null=_BLOCK_OFF.format("freeze") + ", not the end, or the run has a non-finite parameter"),
    },
)  # fmt: skip

NETWORKS = Table(
    "networks",
    "a player of a run at a probe step, as a whole",
    ("run_id", "step", "player"),
    {
        "run_id": _RUN_ID,
        "step": _STEP,
        "player": Column("string", "1", "net, or generator and discriminator"),
        "effective_depth": Column("float64", "layers", "(sum of u)^2 / sum of u^2 with u the total change of each layer that did not begin at 0", null="no such layer has changed"),
        "stream_growth": Column("float64", "log10", "mean squared gradient of the residual stream where it enters the first block, over that where it leaves the last", null="no residual, not at init, or a gradient is 0"),
        "effective_rank": Column("float64", "1", "exp(entropy of the normalised singular values) of a_L over the probe batch", null=_AT_ENDS.format("rank") + ", or all of it is 0"),
        "jacobian_mean_square": Column("float64", "1", "mean squared singular value of dh_L/dx, per sample", null=_AT_ENDS.format("jacobian") + _TOO_LARGE),
        "jacobian_relative_variance": Column("float64", "1", "variance of the squared singular values of dh_L/dx over their squared mean", null=_AT_ENDS.format("jacobian") + ", or all are 0" + _TOO_LARGE),
        "jacobian_log10_max": Column("float64", "log10", "largest singular value of dh_L/dx, mean of its log10 over samples", null=_AT_ENDS.format("jacobian") + ", or it is 0" + _TOO_LARGE),
        "jacobian_log10_min": Column("float64", "log10", "smallest singular value of dh_L/dx, mean of its log10 over samples", null=_AT_ENDS.format("jacobian") + ", or float64 cannot tell it from 0 beside the largest" + _TOO_LARGE),
        "shattering_cosine": Column("float64", "1", "mean cosine of delta_1 between different inputs, the same gradient of the logits sent back for all", null=_AT_ENDS.format("shattering") + ", or fewer than two are not 0"),
        "noise_scale": Column("float64", "samples", "trace of the covariance of a sample's gradient over the squared norm of their mean", null=_BLOCK_OFF.format("noise") + ", no mean is left beside the noise, or non-finite"),
    },
)  # fmt: skip

FREEZE = Table(
    "freeze",
    "a training of a run anew with its first layers kept as they were drawn",
    ("run_id", "frozen"),
    {
        "run_id": _RUN_ID,
        "frozen": Column("int64", "layers", "hidden layers next to the input that do not learn; 0 is the run itself"),
        "final_loss": Column("float64", "nats", "mean training loss of the last 10 updates", null="it diverged"),
        "train_accuracy": Column("float64", "1", "share right on the training split, at the end"),
        "test_accuracy": Column("float64", "1", "share right on the test split, at the end"),
    },
)  # fmt: skip

LAGS = Table(
    "lags",
    "a time lag of a recurrent run at a probe step",
    ("run_id", "step", "lag"),
    {
        "run_id": _RUN_ID,
        "step": _STEP,
        "lag": Column("int64", "time steps", "T - t: 0 is the last time step"),
        "log10_delta_rms": Column("float32", "log10 nats", "rms of dL/dh_t", null=_CENSORED),
    },
)  # fmt: skip

PREDICTIONS = Table(
    "predictions",
    "a hidden layer of a cell, as mean-field theory predicts it at init",
    ("cell", "layer"),
    {
        "cell": _CELL,
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
        "cell": _CELL,
        "quantity": Column("string", "1", "slope, vanishing_index, stream_growth (log10 of the squared gradient of the residual stream where it enters the first block, over that where it leaves the last), or a measure of networks"),
        "value": Column("float64", "the quantity's", "its prediction: a mean, a variance or a share over networks", null="no theory"),
        "source": Column("string", "1", "formula and paper; 'none' where there is no theory"),
    },
)  # fmt: skip

AGREEMENT = Table(
    "agreement",
    "a quantity of a cell of a battery that theory predicts and the study measured, at init",
    ("battery", "cell", "quantity"),
    {
        "battery": RUNS.columns["battery"],
        "cell": _CELL,
        "quantity": Column("string", "1", "what is predicted, as in expected"),
        **{name: RUNS.columns[name] for name in ("family", "task", "activation", "init", "sigma_w", "norm", "norm_position", "residual", "block", "depth", "width", "stages", "padding")},
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
    "an outcome of a cell of a battery over its judged seeds",
    ("battery", "cell", "outcome"),
    {
        "battery": RUNS.columns["battery"],
        "cell": _CELL,
        **{name: RUNS.columns[name] for name in ("family", "task", "activation", "init", "sigma_w", "norm", "norm_position", "residual", "block", "depth", "width", "stages", "padding", "optimizer", "schedule", "clip")},
        "outcome": Column("string", "1", "the column of runs that is summarised"),
        "n": Column("int64", "runs", "seeds that it rests on"),
        "value": Column("float64", "the outcome's", "interquartile mean over seeds", null="no run has it"),
        "low": Column("float64", "the outcome's", "lower end of the 95 % bootstrap interval", null="fewer than two runs"),
        "high": Column("float64", "the outcome's", "upper end of the 95 % bootstrap interval", null="fewer than two runs"),
    },
)  # fmt: skip

LEDGER = Table(
    "ledger",
    "a claim in a stratum; the stratum 'all' carries the verdict",
    ("claim", "stratum"),
    {
        "claim": Column("string", "1", "id in reports/claims.yaml"),
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
        "reason": Column("string", "1", "why this verdict; the strata, where they differ"),
    },
)  # fmt: skip

TABLES = {
    table.name: table
    for table in (
        RUNS,
        CURVES,
        LAYERS,
        NETWORKS,
        FREEZE,
        LAGS,
        PREDICTIONS,
        EXPECTED,
        AGREEMENT,
        SUMMARY,
        LEDGER,
    )
}
# What a training job can know of a run; the battery and the cell's signal come with the others.
RUN_LOG = RUNS.without("battery", "signal")
# What a training job writes; the runs come last, and say that the cohort is done.
LOGS = {table.name: table for table in (LAYERS, NETWORKS, FREEZE, CURVES, RUN_LOG)}


def data_dictionary() -> str:
    """All tables as Markdown: the text of ``reports/data-dictionary.md``."""
    parts = ["# Data dictionary", "", "Rendered from `src/vanishing/tables.py` by `make docs`."]
    for table in TABLES.values():
        parts += ["", f"## {table.name}", "", f"A row is {table.row}. Key: {', '.join(table.key)}.", ""]  # fmt: skip
        parts += ["| column | type | unit | meaning | null means |", "|---|---|---|---|---|"]
        parts += [
            f"| {name} | {c.dtype} | {c.unit} | {c.meaning} | {c.null or '-'} |"
            for name, c in table.columns.items()
        ]
    return "\n".join(parts) + "\n"
