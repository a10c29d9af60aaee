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
# # What can be trained, and what a remedy buys
#
# Here the networks learn. Every cell has had its learning rate chosen on seeds of its own, and is
# judged on others, so that no arm loses for want of a good rate. A run that diverges counts as
# one that failed.

# %% tags=["parameters"]
results = "results/laptop"

# %%
from pathlib import Path

from vanishing.figures import outcomes, remedies, style, survival, trainability
from vanishing.tables import PROFILES, RUNS

tables, figures = Path(results) / "tables", Path(results) / "figures"
runs = RUNS.read(tables / "runs.parquet")
profiles = PROFILES.read(tables / "profiles.parquet")

# %% [markdown]
# ## By depth
#
# Upper row: the share of runs that are trained, with Wilson's 95 % interval. Lower row: mean test
# accuracy at the end, and the accuracy of the same networks before training. Inits are pooled.

# %%
depths = trainability.points(runs, profiles)
style.save(trainability.draw(depths), figures / "trainability.svg", depths)

# %% [markdown]
# Read each column from left to right: a remedy that works keeps its line up where the plain
# network's has come down. Few updates are made here, so a line that comes down says that a
# network does not learn *in this budget*, and not that it never would.
#
# ## How each cell ends
#
# A row an arm, a column a depth: the shares of the judged runs that are trained, too slow for the
# budget, stalled at chance, dead or diverged. Those that diverged count in every share.

# %%
ends = outcomes.points(runs)
style.save(outcomes.draw(ends), figures / "outcomes.svg", ends)

# %% [markdown]
# ## By when
#
# The share of runs whose loss is not yet at half of chance, after Kaplan and Meier: a run that has
# not got there when its budget ends is censored, and stays in the curve until then.

# %%
times = survival.points(runs)
style.save(survival.draw(times), figures / "survival.svg", times)

# %% [markdown]
# ## What each remedy buys
#
# Each pair of runs shares the seed, the data and every setting but one. On the left the change of
# the vanishing index $V$ at the greatest depth: to the right, more gradient reaches the first
# layer, and too far to the right it explodes. On the right the change of the share that is
# trained.

# %%
effects = remedies.points(runs)
style.save(remedies.draw(effects), figures / "remedies.svg", effects)

# %% [markdown]
# The two panels need not agree. A gradient brought back to its size is worth what it does for
# training, and where the plain network trains anyway there is little left to buy.
