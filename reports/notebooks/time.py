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
# # Through time
#
# A recurrent network uses the same weights at every time step, so its gradient meets the same
# matrix again and again on its way back. What a deep network loses from layer to layer, this one
# loses from step to step: what is measured is the error signal $\delta_t = \partial L / \partial
# h_t$ of the last answer, $\tau$ steps before that answer was given. $\tau$ is the time lag.

# %% tags=["parameters"]
results = "results/laptop"

# %%
from pathlib import Path

from vanishing.figures import lags, memory, style
from vanishing.tables import LAG_PREDICTIONS, PROFILES, RUNS

tables, figures = Path(results) / "tables", Path(results) / "figures"
runs = RUNS.read(tables / "runs.parquet")
through_time = PROFILES.read(tables / "profiles.parquet")
predictions = LAG_PREDICTIONS.read(tables / "lag_predictions.parquet")

# %% [markdown]
# ## Step by step, before training
#
# A point is the mean over seeds with its 95 % interval, in decades, less its value at the last
# step; a line is theory, into which nothing measured goes but the inputs. Read each panel from
# left to right: further right is further back. Vanilla cells come first, a line an activation;
# then cells with gates or with shortcuts through time, all with tanh. An arrow stands where a line
# leaves the panel, ten decades down.

# %%
profile = lags.points(runs, through_time, predictions)
style.save(lags.draw(profile), figures / "lags.svg", profile)

# %% [markdown]
# A straight line is a constant factor per step, and the steeper it falls, the shorter the memory
# that gradient descent can make use of. Inputs drive the state at every step, so the factor is not
# that of the weights alone: what the cell sees now decides how much of its past it lets through.
#
# ## What is learned, and from how far
#
# The adding problem asks for the sum of two numbers that are marked in a sequence. Left: the share
# of judged runs that are trained, by length, with Wilson's 95 % interval. Right: the lag slope at
# the greatest length, from before the first update on. Below the zero line the gradient vanishes.

# %%
learned = memory.points(runs, through_time)
style.save(memory.draw(learned), figures / "memory.svg", learned)

# %% [markdown]
# The two panels belong together, but neither follows from the other. Training moves the weights,
# and with them the slope; and a cell whose gradient reaches far back at the start need not be one
# that learns within this budget of updates.
