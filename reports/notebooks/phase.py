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
# # Order and chaos
#
# Weights are drawn as $W \sim N(0, \sigma_w^2 / \mathrm{fan\_in})$, and only $\sigma_w$ is
# varied. The factor of a squared gradient per layer is $\chi_1 = \sigma_w^2 E[\phi'(h)^2]$ (Poole
# et al. 2016, Schoenholz et al. 2017), and the slope is half its logarithm once $q$ has settled.

# %% tags=["parameters"]
results = "results/laptop"

# %%
from pathlib import Path

from vanishing.figures import depths, phase, style
from vanishing.tables import PREDICTIONS, RUNS

tables, figures = Path(results) / "tables", Path(results) / "figures"
runs = RUNS.read(tables / "runs.parquet")
predictions = PREDICTIONS.read(tables / "predictions.parquet")

# %% [markdown]
# ## The slope over the size of the weights
#
# Points are means over seeds with their 95 % intervals; lines join the predictions of these
# cells.

# %%
curves = phase.points(runs, predictions)
style.save(phase.draw(curves), figures / "phase.svg", curves)

# %% [markdown]
# Where a curve crosses zero, the activation is critical: a gradient neither vanishes nor explodes
# there, and a deep network can be trained. Each activation has its own place for this, so that no
# one init can suit them all. A piecewise linear activation gives a straight line; one that
# saturates bends, because larger weights push more units to where its derivative is small.

# %% [markdown]
# ## Over depth
#
# The same loss summed over a whole network, $V$, at the usual inits. On straight axes exponential
# decay is a straight line; a power law of depth, which theory has exactly at a critical point,
# bends towards the level.

# %%
lines = depths.points(runs)
style.save(depths.draw(lines), figures / "depths.svg", lines)
