"""Features, and what plan versions give of them."""
