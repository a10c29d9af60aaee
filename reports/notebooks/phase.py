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

import pandas as pd
import pyarrow.compute as pc

from vanishing.figures import depths, phase, saturation, style
from vanishing.tables import PREDICTIONS, PROFILES, RUNS

tables, figures = Path(results) / "tables", Path(results) / "figures"
runs = RUNS.read(tables / "runs.parquet")
predictions = PREDICTIONS.read(tables / "predictions.parquet")

# %% [markdown]
# ## The slope over the sizes of weights and biases
#
# In the planes the field is theory, the white line is where $\chi_1 = 1$, and a point is the mean
# over seeds of the networks that were drawn there, in the colours of the field: a point that
# cannot be told from what is around it is where theory says. At the right, without biases, points
# are means over seeds with their 95 % intervals; lines join the predictions of these cells.

# %%
curves, plane = phase.points(runs, predictions), phase.plane(runs)
field = phase.field(plane)
shown = pd.concat(
    [curves.assign(panel="curve"), plane.assign(panel="plane"), field.assign(panel="field")]
)
style.save(phase.draw(curves, plane, field), figures / "phase.svg", shown)

# %% [markdown]
# Where a curve crosses zero, the activation is critical: a gradient neither vanishes nor explodes
# there, and a deep network can be trained. Each activation has its own place for this, so that no
# one init can suit them all. A piecewise linear activation gives a straight line; one that
# saturates bends, because larger weights push more units to where its derivative is small.

# %% [markdown]
# ## Saturation
#
# The textbooks' mechanism: large $h$ drive units to where $\phi'$ is near zero, and that is why a
# gradient vanishes. A unit counts as saturated where $\phi'(h)$ is at most a tenth of its largest
# value. If that were the cause, a network with more of these would always lose more. Weights and
# biases both add saturated units; the weights are a factor of $\chi_1$ beside the derivative, and
# the biases are not.

# %%
saturated = PROFILES.read(tables / "profiles.parquet", where=pc.field("quantity") == "saturation")
mechanism = saturation.points(runs, saturated, predictions)
style.save(saturation.draw(mechanism), figures / "saturation.svg", mechanism)

# %% [markdown]
# The slope is $\log_{10} \sigma_w + \log_{10} \sqrt{E[\phi'(h)^2]}$ in the mean field: at one
# $\sigma_w$ the derivative alone decides, and between two of them it does not.

# %% [markdown]
# ## Over depth
#
# The same loss summed over a whole network, $V$, at the usual inits. On straight axes exponential
# decay is a straight line; a power law of depth, which theory has exactly at a critical point,
# bends towards the level.

# %%
lines = depths.points(runs)
style.save(depths.draw(lines), figures / "depths.svg", lines)
