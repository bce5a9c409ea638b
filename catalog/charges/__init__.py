"""What a charge costs, as it is stored: its rows of prices, what they may name, what is wrong with them."""
