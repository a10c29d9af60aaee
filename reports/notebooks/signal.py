# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Where the gradient goes
#
# A network is drawn and nothing is trained. One batch goes through it, forward and back, and at
# each hidden layer two things are measured: $q$, the mean square of the pre-activation $h$, and
# the root mean square of the error signal $\delta = \partial L / \partial h$. Theory predicts
# both from the activation and the variances of weights and biases alone; no constant is fitted.

# %% tags=["parameters"]
results = "results/laptop"

# %%
from pathlib import Path

from vanishing.figures import agreement, calibration, profiles, style
from vanishing.tables import AGREEMENT, PREDICTIONS, PROFILES, RUNS

tables, figures = Path(results) / "tables", Path(results) / "figures"
runs = RUNS.read(tables / "runs.parquet")
cells = PROFILES.read(tables / "profiles.parquet")
predictions = PREDICTIONS.read(tables / "predictions.parquet")
agreed = AGREEMENT.read(tables / "agreement.parquet")

# %% [markdown]
# ## Layer by layer
#
# Upper row: the signal on its way forward. Lower row: the gradient, to be read from right to
# left, on its way back from the output. A point is the mean over seeds with its 95 % interval, a
# line is theory. A straight line on this logarithmic axis is a change by a constant factor per
# layer; a decade is as long in both rows. Names stand where lines end.

# %%
profile = profiles.points(runs, cells, predictions)
style.save(profiles.draw(profile), figures / "profiles.svg", profile)

# %% [markdown]
# The same activation can be at home in one column and lost in another: what a layer does to the
# gradient is the product of the activation's derivative *and* of the size of the weights. A
# signal that keeps its size forward need not keep it backward.
#
# ## Every cell against its prediction
#
# The slope is the change of $\log_{10}$ rms $\delta$ per layer towards the input: negative where
# the gradient vanishes, positive where it explodes. Each point is a cell. On the right is what
# remains between the two: cells stand side by side in the order of their prediction, so that those
# with much the same one do not hide each other. The band is the tolerance asked of the theory; a
# triangle at the edge is a cell that lies farther out, with its name and distance.

# %%
slopes = calibration.points(agreed)
style.save(calibration.draw(slopes), figures / "calibration.svg", slopes)

# %% [markdown]
# Where a cell lies outside the band, look first whether its signal is unstable: there a finite
# width decides, seed by seed, which way it goes, and intervals are wide.
#
# ## Everything that theory predicts
#
# Each panel is a quantity for which there is a formula: besides the slope, the index $V$ and,
# where a battery measures them, what becomes of the likeness of two inputs' gradients
# (shattering), the singular values of the input-output Jacobian, the spread over networks, and
# the share of networks that are dead at birth. A ring is a cell outside the tolerance.

# %%
everything = agreement.points(agreed)
style.save(agreement.draw(everything), figures / "agreement.svg", everything)
