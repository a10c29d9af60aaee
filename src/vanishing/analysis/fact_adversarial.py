"""Facts of GANs: the generator's gradient before a better judge, and how live games end."""

from __future__ import annotations

from .fact import mean_of, selected, share_of
from .study_tables import Tables

GAMES = ("saturating", "non_saturating", "least_squares", "hinge", "wgan", "wgan_gp")


def adversarial(tables: Tables) -> dict[str, dict]:
    """Of battery gan_fixed and of battery gan_live, game by game.

    ``gan.decades.<game>``: growth of the generator's gradient while only the discriminator learns;
    ``gan.accuracy.<game>``: the discriminator's accuracy at the end of it, and
    ``gan.accuracy.fixed`` the mean over all games; ``gan.stalled.<game>``: the share of live
    games that stall, die or diverge; ``gan.modes.<game>``: modes that the generator covers then.
    """
    every, query = selected(tables, "gan_fixed", generator="fixed")
    found = {"gan.accuracy.fixed": mean_of(every, "discriminator_accuracy", 3, query)}
    for game in GAMES:
        fixed, query = selected(tables, "gan_fixed", generator="fixed", game=game)
        found[f"gan.decades.{game}"] = mean_of(fixed, "generator_decades", 2, query)
        found[f"gan.accuracy.{game}"] = mean_of(fixed, "discriminator_accuracy", 3, query)
        live, query = selected(tables, "gan_live", generator="live", game=game)
        found[f"gan.stalled.{game}"] = share_of(live, "stagnation", query)
        found[f"gan.modes.{game}"] = mean_of(live, "modes", 1, query)
    return found
