"""The report and RESULTS.md: the sections, tables and sentences around the figures."""
