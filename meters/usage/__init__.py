"""Series, buckets and day totals: what was counted, where, and the only way to read it."""
