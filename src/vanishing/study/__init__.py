"""What to run: the config, its grid, the cohorts, and what they will cost (no torch in here)."""
