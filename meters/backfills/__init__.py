"""Stored events counted for meters that came later or were changed, and counted anew."""
