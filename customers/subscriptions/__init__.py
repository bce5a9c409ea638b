"""Customers registered and subscribed, and their moves to later versions."""
