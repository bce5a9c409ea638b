"""What every test may use. See `tests/servers.py` for the servers and `tests/processes.py` for real processes."""
