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
# # How deep, and still trained
#
# For each arm (an activation with an init, a norm and a residual) there is a depth $L_{50}$ at
# which half of the runs still train. It is read from a logistic curve of success over the
# logarithm of depth. The curve is penalised as Firth proposed, so that it exists even where all
# runs train up to a depth and none beyond it.

# %% tags=["parameters"]
results = "results/laptop"

# %%
from pathlib import Path

from vanishing.figures import frontier, style
from vanishing.tables import FRONTIERS, RUNS

tables, figures = Path(results) / "tables", Path(results) / "figures"
runs = RUNS.read(tables / "runs.parquet")
frontiers = FRONTIERS.read(tables / "frontiers.parquet")

# %% [markdown]
# ## Success against depth
#
# Points are the shares of runs that train, with Wilson's interval, set a little apart; lines are
# the fitted curves. Below the shares each arm has a lane for its $L_{50}$ with its 95 % interval
# over seeds. An arrow at the right is an arm that still trains at the greatest depth, so its
# frontier lies deeper; one at the left an arm that fails already at the least.

# %%
curves = frontier.points(runs, frontiers)
style.save(frontier.draw(curves), figures / "frontier.svg", curves)

# %% [markdown]
# Where every run trains at one depth and none at the next, the frontier may lie anywhere between
# the two, and its interval says so.
#
# ## Against the depth scale of theory
#
# Over $\xi_c$ layers, theory says, the likeness of two inputs comes closer by a factor of $e$ to
# where it ends, whatever it was at first. Much deeper, nothing is left of how alike two inputs
# were. If this is what limits training, $L_{50}$ is proportional to $\xi_c$. Both the power and the
# factor are fitted here, where there are arms enough; what was published is drawn beside them.

# %%
scale = frontier.scales(frontiers)
style.save(frontier.draw_scales(scale), figures / "depth_scale.svg", scale)

# %% [markdown]
# Only plain networks are here, since a norm or a residual has another scale, and only arms whose
# frontier lies within the depths that were trained. At criticality $\xi_c$ is infinite, and theory
# sets no limit. The budget of updates sets one too: with more of them a frontier moves deeper.
