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
# # Between two players
#
# A generator learns from a discriminator alone: all that it is told is how the discriminator's
# output would change with its samples, times the slope of its own loss at that output. Where the
# discriminator is sure of itself, the second factor goes to zero in the saturating game, and to
# one in the non-saturating game; critics have no such factor at all. How much of the product is
# left is to be measured.

# %% tags=["parameters"]
results = "results/laptop"

# %%
from pathlib import Path

from vanishing.figures import adversarial, style
from vanishing.tables import PROFILES, RUNS

tables, figures = Path(results) / "tables", Path(results) / "figures"
runs = RUNS.read(tables / "runs.parquet")
profiles = PROFILES.read(tables / "profiles.parquet")

# %% [markdown]
# ## One player learns, then both
#
# Upper row: the generator $G$ stays as it was drawn and only the discriminator $D$ learns. Left,
# the norm of the gradient that the generator would get, in decades, less its value before the first
# update, over the share of samples that the discriminator still tells wrong: further right it is
# better. Right, the same over its updates. Lower row: both learn. Points are means over seeds with
# their 95 % intervals.

# %%
played = adversarial.points(runs, profiles)
style.save(adversarial.draw(played), figures / "adversarial.svg", played)

# %% [markdown]
# The upper row is a discriminator at its most harmful: it never has to follow a generator that
# moves. In the lower row that generator answers, and what it makes of its gradient is told by its
# samples, and not by the gradient's size. Scores of critics, which have no unit, cannot be compared
# with logits; that is why a gradient is shown against its own start.
