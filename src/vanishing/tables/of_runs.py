"""The tables with a row a run, a step, a layer: what trainings leave behind."""

from __future__ import annotations

from ..table import Column, Table

RUN_ID = Column("string", "1", "hash of the run's resolved settings")
CELL = Column("string", "1", "hash of the run's settings without seed and learning rate")
_STEP = Column("int64", "updates", "updates made so far; 0 is the initial network")
CENSORED = "exactly zero: log10 does not exist (see the zero fraction)"
_UNTRAINED = "the run is of an init battery: nothing was trained"
_NO_ANSWERS = ", or it is a GAN, which answers nothing"

RUNS = Table(
    "runs",
    "a run (one training of one network) in a battery",
    ("battery", "run_id"),
    {
        "run_id": RUN_ID,
        "cell": CELL,
        "cohort": Column("string", "1", "the cohort that trained the run"),
        "battery": Column("string", "1", "the block of the config that asks for the run"),
        "family": Column("string", "1", "kind of network: mlp, cnn, rnn or gan"),
        "task": Column("string", "1", "the data that it learns"),
        "data": Column("string", "1", "digest of the data, where it is the user's own; else empty"),
        "activation": Column("string", "1", "elementwise nonlinearity phi"),
        "init": Column("string", "1", "rule that draws the initial weights"),
        "sigma_w": Column("float64", "1", "root mean square of a weight of the hidden layer in the middle, times the root of fan_in; of an RNN that of the recurrent weight, of a GAN the generator's; of a GAN, of its generator"),
        "sigma_b": Column("float64", "1", "sd of a bias of that layer"),
        "norm": Column("string", "1", "normalisation of a layer's values, or of its weights"),
        "norm_position": Column("string", "1", "whether the norm stands before or after phi"),
        "residual": Column("string", "1", "how a block's input joins its output"),
        "block": Column("int64", "layers", "layers of a residual block"),
        "depth": Column("int64", "layers", "hidden layers"),
        "width": Column("int64", "units", "units of a hidden layer; of a CNN, channels of the stage with the largest image"),
        "stages": Column("int64", "1", "stages of a CNN: each after the first halves the image; of a generator, doubles it"),
        "padding": Column("string", "1", "of a CNN's image at its border: zero or circular"),
        "recurrence": Column("string", "1", "of an RNN: how a layer makes its state of what it sees and its past; else none"),
        "length": Column("int64", "time steps", "of a sequence; 0 where there is none"),
        "truncation": Column("int64", "time steps", "of an RNN: that the gradient goes back at most; 0: all"),
        "game": Column("string", "1", "of a GAN: what its players make small; else none"),
        "players": Column("string", "1", "of a GAN: what its players are, mlp or cnn"),
        "generator": Column("string", "1", "of a GAN: live, or fixed as it was drawn"),
        "latent": Column("int64", "1", "of a GAN: numbers of noise that a sample is made of, at each pixel of a cnn's smallest image"),
        "discriminator_steps": Column("int64", "updates", "of a GAN: of the discriminator to one of the generator"),
        "instance_noise": Column("float64", "1", "of a GAN: sd of the noise added to all that the discriminator sees"),
        "normed": Column("string", "1", "of a GAN: which player has the norm, or both"),
        "loss": Column("string", "1", "what is made small; of a GAN none: its players play a game"),
        "optimizer": Column("string", "1", "rule that updates the weights"),
        "schedule": Column("string", "1", "how the learning rate changes over the training"),
        "clip": Column("string", "1", "how gradients are clipped before an update"),
        "lr": Column("float64", "1", "learning rate used", null=_UNTRAINED),
        "lr_policy": Column("string", "1", "tuned (with its grid), fixed (at a rate), or none"),
        "batch": Column("int64", "samples", "samples of an update"),
        "steps": Column("int64", "updates", "updates of the training; of a GAN those of its generator, or where that is fixed of its discriminator"),
        "probe_batch": Column("int64", "samples", "samples that everything but accuracy and scores is measured on, all there are where these are fewer; 0: the batch of each update, in its own pass, float32"),
        "seed": Column("int64", "1", "gives initial draws, split and order of the data"),
        "split": Column("string", "1", "tuning (chose a rate) or judged (counts in claims)"),
        "outcome": Column(
            "string", "1", "first match of: diverged, dead, trained, stalled, slow; of a live GAN by what is left of the mmd at init (trained to .1 of it, stalled from .9 on), before a fixed generator by what the discriminator tells right (from .9 on; up to .55)", null=_UNTRAINED
        ),
        "signal": Column("string", "1", "the cell's gradient at init: healthy, vanishing, ..."),
        "final_loss": Column(
            "float64", "the loss's", "mean training loss of the last 10 updates; of a GAN whose generator is live the squared kernel distance of its samples, mmd, at the end; else the discriminator's loss", null=_UNTRAINED + ", or it diverged"
        ),
        "final_train_accuracy": Column(
            "float64", "1", "share right on the training split, at the end", null=_UNTRAINED + _NO_ANSWERS
        ),
        "final_test_accuracy": Column(
            "float64", "1", "share right on the test split, at the end", null=_UNTRAINED + _NO_ANSWERS
        ),
        "steps_to_threshold": Column(
            "int64", "updates", "first update with smoothed loss at half of chance",
            null="never reached within the steps (censored)" + _NO_ANSWERS,
        ),
        "first_nonfinite_step": Column(
            "int64", "updates", "the first update with a loss that was not finite, or that left weights that are not", null="all were finite"
        ),
        "first_nonfinite_layer": Column(
            "int64", "1", "the first layer with a non-finite h (or weight) at that update; depth + 1 is the head or the loss itself; of a GAN a layer of its generator, and where all of these are finite one of its discriminator",
            null="all were finite",
        ),
        "vanishing_index": Column(
            "float64", "decades", "V at init: log10 rms(delta_1) - log10 rms(delta_L); of a GAN its generator's, whose delta comes back through the discriminator", null=CENSORED
        ),
        "weight_vanishing_index": Column(
            "float64", "decades", "V_w at init: the same on the weight gradient", null=CENSORED
        ),
        "slope": Column(
            "float64", "decades/layer", "log10 rms(delta) per layer towards the input, at init; of a GAN its generator's",
            null=CENSORED + ", or too few layers",
        ),
        "lag_index": Column(
            "float64", "decades", "of the top layer of an RNN at init: log10 rms(delta) at the largest time lag minus that at lag 0",
            null=CENSORED + ", or no RNN",
        ),
        "lag_slope": Column(
            "float64", "decades/step", "log10 rms(delta) per step of time lag, of the top layer of an RNN at init; lags that are exactly zero are left out",
            null=CENSORED + ", or too few lags, or no RNN",
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
        "run_id": RUN_ID,
        "step": _STEP,
        "train_loss": Column("float32", "nats", "loss of the batch before the update; of a GAN its discriminator's, with its penalty, in its last update of the step", null="non-finite, or after the last update"),
        "test_accuracy": Column(
            "float32", "1", "share right on the test split", null="neither init nor the end, and the battery does not switch on the block accuracy, or no probe step" + _NO_ANSWERS
        ),
    },
)  # fmt: skip

_NEEDS_TRAINING = "no update was made before this step"
_BLOCK_OFF = "the battery does not switch on the block {}"
_AT_ENDS = _BLOCK_OFF + ", neither the first step nor the last, or non-finite"
_NO_BIN = _BLOCK_OFF.format("output_bins") + ", not at init, none lies there, or phi has no bounds"
_TOO_LARGE = ", or h_L has more than 1024 values or dh_L/dx more than 2^21"
LAYERS = Table(
    "layers",
    "a hidden layer of a player of a run at a probe step, measured on the fixed probe batch, of an RNN at all time steps",
    ("run_id", "step", "player", "layer"),
    {
        "run_id": RUN_ID,
        "step": _STEP,
        "player": Column("string", "1", "net; or generator, L its loss on generated samples, and discriminator, L its loss on real and as many generated ones: without a penalty, the mean loss the sum of the two means"),
        "layer": Column("int64", "1", "1 is next to the input"),
        "log10_delta_rms": Column("float32", "log10 nats", "rms of dL/dh over units and samples, L per sample", null=CENSORED),
        "log10_grad_rms": Column("float32", "log10 nats", "rms of dL/dW, L the mean over the probe batch", null=CENSORED),
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
        "linear_probe_accuracy": Column("float32", "1", "share right on the test split of a ridge regression from a (of a CNN its mean over pixels) to one-hot classes, fitted on the training split; penalty .001 n times the mean square of a", null=_AT_ENDS.format("linear_probe") + ", or the labels are values"),
        "derivative_low": Column("float64", "1", "mean abs(phi'(h)) of the outputs phi(h) in the lowest 5 % of phi's range", null=_NO_BIN),
        "derivative_middle": Column("float64", "1", "the same in the middle 90 %", null=_NO_BIN),
        "derivative_high": Column("float64", "1", "the same in the highest 5 %", null=_NO_BIN),
    },
)  # fmt: skip

NETWORKS = Table(
    "networks",
    "a player of a run at a probe step, as a whole",
    ("run_id", "step", "player"),
    {
        "run_id": RUN_ID,
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
        "chain_rule_error": Column("float64", "1", "largest difference of dL/dh by the explicit product of Jacobians and by automatic differentiation, over the largest dL/dh of the layer; the largest over the layers below the last", null=_BLOCK_OFF.format("chain_rule") + ", not at init, a norm or a residual, no MLP, one layer, or non-finite"),
    },
)  # fmt: skip

FREEZE = Table(
    "freeze",
    "a training of a run anew with its first layers kept as they were drawn",
    ("run_id", "frozen"),
    {
        "run_id": RUN_ID,
        "frozen": Column("int64", "layers", "hidden layers next to the input that do not learn; 0 is the run itself"),
        "final_loss": Column("float64", "nats", "mean training loss of the last 10 updates", null="it diverged"),
        "train_accuracy": Column("float64", "1", "share right on the training split, at the end"),
        "test_accuracy": Column("float64", "1", "share right on the test split, at the end"),
    },
)  # fmt: skip

LAGS = Table(
    "lags",
    "a time lag of a layer of a recurrent run at a probe step",
    ("run_id", "step", "layer", "lag"),
    {
        "run_id": RUN_ID,
        "step": _STEP,
        "layer": Column("int64", "1", "1 is next to the input"),
        "lag": Column("int64", "time steps", "T - t: 0 is the last time step"),
        "log10_delta_rms": Column("float32", "log10 nats", "rms of dL/dh_t over units and samples, L the loss of the last answer alone, per sample", null=CENSORED),
    },
)  # fmt: skip

_NO_GATE = "the candidate, which is no gate, or non-finite"
RECURRENCES = Table(
    "recurrences",
    "a gate, or the candidate, of a recurrent layer at a probe step",
    ("run_id", "step", "layer", "column"),
    {
        "run_id": RUN_ID,
        "step": _STEP,
        "layer": Column("int64", "1", "1 is next to the input"),
        "column": Column("string", "1", "the gate's name, or candidate: its columns of the weights"),
        "spectral_radius": Column("float64", "1", "largest absolute eigenvalue of the recurrent weight", null="non-finite"),
        "spectral_norm": Column("float64", "1", "largest singular value of the recurrent weight", null="non-finite"),
        "gate_mean": Column("float64", "1", "mean of the gate over samples, units and time", null=_NO_GATE),
        "gate_sd": Column("float64", "1", "sd of the gate, as above", null=_NO_GATE),
        "shut": Column("float64", "1", "share of the gate's values up to .1", null=_NO_GATE),
        "open": Column("float64", "1", "share of the gate's values from .9 on", null=_NO_GATE),
    },
)  # fmt: skip

SCORES = Table(
    "scores",
    "a score of the task's or the game's own, at a level, of a run at a probe step",
    ("run_id", "step", "score", "level"),
    {
        "run_id": RUN_ID,
        "step": _STEP,
        "score": Column("string", "1", "what is scored: on the test split, noisy_accuracy the share right with Gaussian noise added to the inputs; or on 500 generated samples, modes, high_quality, frechet and mmd (the squared one), the last two against real samples"),
        "level": Column("float64", "the task's", "what it is taken by: a distance, a contrast, a pair of classes, the sd of the noise beside inputs whose mean square is 1; 0 where there is none"),
        "value": Column("float64", "the score's", "the score", null="non-finite"),
    },
)  # fmt: skip

GAMES = Table(
    "games",
    "a GAN at a probe step: how its players stand, without instance noise; where probe_batch is 0, as they stand in the next step's own turns",
    ("run_id", "step"),
    {
        "run_id": RUN_ID,
        "step": _STEP,
        "generator_loss": Column("float64", "the game's", "mean loss of the generator over the probe batch", null="non-finite"),
        "discriminator_loss": Column("float64", "the game's", "mean loss of the discriminator on real samples plus that on generated ones, without a penalty", null="non-finite"),
        "log10_generator_gradient": Column("float64", "log10", "norm of the gradient of the generator's mean loss with respect to all that it would learn", null="exactly 0, or non-finite"),
        "log10_discriminator_gradient": Column("float64", "log10", "the same of the discriminator, its penalty included", null="exactly 0, or non-finite"),
        "discriminator_accuracy": Column("float64", "1", "share of real and generated samples that it tells right; a critic by the midpoint between the two means", null="non-finite"),
        "saturation_real": Column("float64", "1", "share of real samples whose loss has a slope of at most .1 of that at the threshold", null="non-finite"),
        "saturation_generated": Column("float64", "1", "the same of generated samples", null="non-finite"),
    },
)  # fmt: skip
