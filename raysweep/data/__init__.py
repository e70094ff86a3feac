"""Stored image sets: their manifests and files, and training and test batches read from them."""
