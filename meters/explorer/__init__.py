"""Pages over raw events: found again, attributed, failed, not read by any meter."""
