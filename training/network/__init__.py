"""The inpainting networks and the model around them."""
