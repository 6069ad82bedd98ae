"""Bytes to bytes: what every engine needs to fill an image, without a web framework."""
