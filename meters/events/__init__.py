"""Events as they are sent: read item by item, each with its own answer. Pure."""
