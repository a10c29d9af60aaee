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
# # The gradient during training
#
# What is the error signal $\delta = \partial L / \partial h$ of a layer, against that of the last
# one, while a network learns? A network that starts with a vanishing gradient may grow out of it,
# stay in it, or never learn at all. The arms are chosen by rule: of the battery of trainings with
# most remedies the activations that it names first, alone and with one norm or one skip; the init
# that it names first; the greatest depth at which at least one of these arms trains, which is in
# half of its runs or more.

# %% tags=["parameters"]
results = "results/laptop"

# %%
from pathlib import Path

import pyarrow.compute as pc

from vanishing.figures import dynamics, style
from vanishing.tables import PROFILES, RUNS

tables, figures = Path(results) / "tables", Path(results) / "figures"
runs = RUNS.read(tables / "runs.parquet")
profiles = PROFILES.read(tables / "profiles.parquet", where=pc.field("quantity") == "layer_decay")

# %% [markdown]
# ## Layer by layer, update by update
#
# A column is a probe step, a cell a layer: the mean over the judged runs of
# $\log_{10}$ rms $\delta_l$ less $\log_{10}$ rms $\delta_L$ of the same run at the same step.
# Within a decade of the last layer a gradient is healthy. The numbers at the foot of a panel are
# those of layer 1 at its first and its last column. A run that diverged has no gradient from then
# on: a number at the head of a column says how many runs are left, and hatching that none is.

# %%
heat = dynamics.points(runs, profiles)
style.save(dynamics.draw(heat), figures / "dynamics.svg", heat)

# %% [markdown]
# Read downwards, a column is the way of the gradient from the last layer to the first; read to
# the right, a row is what training does to it. Where nothing changes from column to column in a
# panel that vanishes, the network is still where it was drawn.
