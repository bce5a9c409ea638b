"""What meters measure of events: definitions in force, quantities, and how many of them come to one."""
