"""Image sets: originals in, FFCV files with manifests out."""
