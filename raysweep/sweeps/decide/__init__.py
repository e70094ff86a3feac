"""The sweep of `raysweep decide`, step by step."""
