"""Usage × price → rounded, explained lines."""
