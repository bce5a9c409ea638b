"""The first invoice, the whole way, on real traffic: `make demo`."""
