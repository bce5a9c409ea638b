"""The page of leaks: usage that earns nothing."""
