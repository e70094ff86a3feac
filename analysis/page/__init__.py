"""The report and RESULTS.md: sections, tables and sentences around the figures."""
