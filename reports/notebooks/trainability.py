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
from vanishing.tables import FRONTIERS, PROFILES, RUNS

tables, figures = Path(results) / "tables", Path(results) / "figures"
runs = RUNS.read(tables / "runs.parquet")
profiles = PROFILES.read(tables / "profiles.parquet")
frontiers = FRONTIERS.read(tables / "frontiers.parquet")

# %% [markdown]
# ## By depth
#
# The share of runs that are trained, with Wilson's 95 % interval: a column an activation, a row an
# init, a colour a remedy. Points stand a little apart; lines are logistic curves over the
# logarithm of depth. Below the shares each remedy has a lane for its $L_{50}$, the depth at which
# half of the runs train, with its 95 % interval over seeds. An arrow at the right says that half
# still train at the greatest depth, one at the left that fewer do at the least.

# %%
depths = trainability.points(runs, profiles, frontiers)
trained = depths[depths["outcome"].eq("trained")]
style.save(trainability.draw(trained), figures / "trainability.svg", trained)

# %% [markdown]
# Read each panel from left to right: a remedy that works keeps its points up where the plain
# network's have come down. Few updates are made here, so points that come down say that a
# network does not learn *in this budget*, and not that it never would.
#
# The same networks by their mean accuracy on the test split at the end, with Student's interval;
# the dotted line is that of all networks before training.

# %%
accurate = trainability.accuracies(depths)
style.save(trainability.draw_accuracy(accurate), figures / "accuracy.svg", accurate)

# %% [markdown]
# ## How each cell ends
#
# A row an arm, a column a depth: the shares of the judged runs that are trained, too slow for the
# budget, stalled at chance, dead or diverged. Those that diverged count in every share. The less
# high a bar, the less was learned; a frame is a run that diverged.

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
# Each pair of runs shares the seed, the data and every setting but one. A row is a remedy with an
# activation. On the left the change of
# the vanishing index $V$ at the greatest depth: to the right, more gradient reaches the first
# layer, and too far to the right it explodes. On the right the change of the share that is
# trained.

# %%
effects = remedies.points(runs)
style.save(remedies.draw(effects), figures / "remedies.svg", effects)

# %% [markdown]
# The two panels need not agree. A gradient brought back to its size is worth what it does for
# training, and where the plain network trains anyway there is little left to buy.
