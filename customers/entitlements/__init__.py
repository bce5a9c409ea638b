"""What a customer may, now, and what it was granted beside its plans."""
