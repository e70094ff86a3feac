"""A results store turned into figures, tables and a report. Imports neither torch nor ray."""
