"""Images from their source into FFCV files once, and from those into training and test batches."""
