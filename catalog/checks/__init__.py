"""Whether a version can be published, and what is worth a second look before it is."""
