"""Meters made and changed: by form, by the API, as documents."""
