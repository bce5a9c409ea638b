"""Products, plans, versions and their charges as operators and programs see them."""
