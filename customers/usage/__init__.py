"""Customers' usage, read by windows of time and dimensions."""
