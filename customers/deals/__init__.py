"""Terms negotiated for one subscription, and coupons redeemed on it."""
