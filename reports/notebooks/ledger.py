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
# # The ledger
#
# The claims come from four articles; each was registered in `reports/claims.yaml`, with its test
# and the smallest effect that would matter, before the runs that judge it. The verdicts follow by
# rule.

# %% tags=["parameters"]
results = "results/laptop"

# %%
from pathlib import Path

from vanishing.analysis.claims import read_claims
from vanishing.figures import ledger, strata, style
from vanishing.tables import LEDGER

verdicts = LEDGER.read(Path(results) / "claims" / "ledger.parquet")
claims = read_claims(Path("reports/claims.yaml"))

# %% [markdown]
# ## Verdicts
#
# An effect is shown in units of the smallest one of interest, turned so that the claimed
# direction is to the right; in its own unit it stands beside. Between the dotted lines effects are
# too small to matter. The shade of a row is where its claim says that the effect lies: a mark in
# the shade speaks for it, a mark outside against. An arrow leaves the axis.

# %%
effects = ledger.points(verdicts, claims, ledger.PARTS["ledger"])
style.save(ledger.draw(effects), Path(results) / "figures" / "ledger.svg", effects)

# %% [markdown]
# Those were causes and effects; here are remedies, architectures and cases.

# %%
effects = ledger.points(verdicts, claims, ledger.PARTS["ledger_remedies"])
style.save(ledger.draw(effects), Path(results) / "figures" / "ledger_remedies.svg", effects)

# %% [markdown]
# A claim about *every* network stands or falls with its weakest stratum: that effect is shown.
#
# ## Stratum by stratum
#
# Every claim in its strata, with intervals that hold all at once and each with the mark of its
# verdict, as above; the row under the line carries that of the claim. The paper's HTML shows them
# claim by claim.

# %%
drawn = strata.save_each(verdicts, claims, Path(results) / "figures" / "claims")
drawn[0] if drawn else "Nothing could be estimated."

# %% [markdown]
# ## The rows behind them
#
# Every claim in all and stratum by stratum, with the runs that it rests on.

# %%
verdicts
