"""From tables to estimates, verdicts and facts; the seed is always the unit that is resampled."""
