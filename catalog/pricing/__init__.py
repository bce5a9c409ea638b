"""Prices: quantities in, exact explained amounts out. Pure: no Django, no rounding to currency here."""
