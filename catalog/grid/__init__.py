"""The page of a charge: the grid of its prices, the plain table, and spreadsheets."""
