"""Coupons: what anybody who has the code may have taken off."""
