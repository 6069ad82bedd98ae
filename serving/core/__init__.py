"""What every engine needs to fill an image, from bytes to bytes, without a web framework."""
