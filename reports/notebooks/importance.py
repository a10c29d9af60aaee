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
# # What matters most
#
# A battery crosses several factors. How much of what differs between its runs is due to each of
# them, and how much to two of them together? The share is $\omega^2$, from a linear model with all
# factors, all pairs of them, and the seed as a block; it is freed of what chance alone would
# explain. Intervals come from drawing seeds anew.

# %% tags=["parameters"]
results = "results/laptop"

# %%
from pathlib import Path

from vanishing.figures import importance, interactions, style
from vanishing.tables import IMPORTANCE, INTERACTIONS

tables, figures = Path(results) / "tables", Path(results) / "figures"
explained = IMPORTANCE.read(tables / "importance.parquet")
together = INTERACTIONS.read(tables / "interactions.parquet")

# %% [markdown]
# ## Each factor, each pair, by three measures
#
# The columns are measures of the same runs: the slope of the error signal $\delta$, the slope of
# the gradient of the weights, and where a battery trains, the accuracy at the end. Factors come
# first, and a number gives each its rank by the measure; pairs of them follow. Terms that
# explain less than a hundredth of the variance by every measure are left out. First the battery
# that has all measures:

# %%
compared, others = importance.by_measures(importance.points(explained))
style.save(importance.draw(compared), figures / "importance.svg", compared)

# %% [markdown]
# And the batteries that have fewer of them:

# %%
style.save(importance.draw(others), figures / "importance_others.svg", others)

# %% [markdown]
# Compare the columns of a row before quoting a ranking: a factor can rule the gradient and hardly
# move what is learned, or the reverse. A share also depends on which levels were tried: a factor
# with levels far apart explains more than the same one with levels close together.
#
# ## How two factors act together
#
# The pairs with the largest interactions in the slope. Lines that are parallel would say that the
# two factors act independently of each other. Lines that cross say that which level is better
# depends on the other factor.

# %%
pairs = interactions.points(together, "slope")
style.save(interactions.draw(pairs), figures / "interactions_slope.svg", pairs)

# %% [markdown]
# The same for accuracy at the end of training.

# %%
learned = interactions.points(together, "test_accuracy")
style.save(interactions.draw(learned), figures / "interactions_accuracy.svg", learned)

# %% [markdown]
# A mean over one factor hides these: where an interaction is large, a statement about one factor
# alone holds on average over the levels that were tried, and for none of them in particular.
