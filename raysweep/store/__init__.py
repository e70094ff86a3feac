"""Results as Arrow: what a row holds, where it is kept, where it came from."""
