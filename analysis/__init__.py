"""Turns a results store into figures, tables and a report. Imports neither torch nor ray."""
