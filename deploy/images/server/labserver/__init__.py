"""What the server bundle adds to Jupyter: the image's Python as kernel, and TensorBoard."""
