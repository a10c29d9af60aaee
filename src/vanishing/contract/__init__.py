"""What every part of a kind must keep, one of the user's own too: what it breaks, in sentences."""
