"""What models cost: taken in from the package, recorded by operators, read as it was known, and the margins over it."""
