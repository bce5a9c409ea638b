"""Events in: admitted, stored, deduplicated and counted in one transaction."""
