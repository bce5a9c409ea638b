"""Files of events that people upload: CSV, JSON Lines and JSON, read row by row. Pure."""
