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
# # Proxies of real cases
#
# Translations, lamp posts, small tumours: these are cases that explanations of the vanishing
# gradient name. None of them can be put into a study of small networks. A proxy can: a task with
# the structure of the case, in which everything is known, and two networks that differ in one
# thing, their initial weights or their cell. A proxy says whether the condition can cause such a
# failure. It says nothing about how often that happens to a system in use.

# %% tags=["parameters"]
results = "results/laptop"

# %%
from pathlib import Path

from vanishing.figures import cases, style
from vanishing.tables import CASES

tables, figures = Path(results) / "tables", Path(results) / "figures"

# %% [markdown]
# ## Four failures
#
# Upper left: how often the number of a verb is wrong, by how far back its subject stands; closed
# markers are a toy translation, open ones agreement alone. Upper right: two digits that look
# alike against two that do not: thin paths are means at equal updates, and thick markers compare
# each run where it first reaches the dotted line. Lower left: how many faint blobs in noise are
# found, by contrast. Lower right: tumours found in a real table of patients. Dotted lines at the
# level of a guess say what guessing gives. Points are means over seeds with their 95 % intervals,
# depths averaged.

# %%
shown = CASES.read(tables / "cases.parquet")
style.save(cases.draw(shown), figures / "cases.svg", shown)

# %% [markdown]
# The network with PyTorch's default weights is the one whose gradient vanishes, the one with
# orthogonal weights its healthy twin. Where their curves lie on each other, the condition that is
# said to cause the failure was there, and the failure was not.
