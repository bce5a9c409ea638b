"""The operator's pages of customers and their subscriptions, and what came in for nobody."""
