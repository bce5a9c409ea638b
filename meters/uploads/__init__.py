"""Files of events: received in parts, checked and loaded by workers with leases."""
