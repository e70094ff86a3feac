"""Everything that prints to a terminal: progress, ETA, tables and the live view of a store."""
