"""Events voided and amended, and usage that follows."""
