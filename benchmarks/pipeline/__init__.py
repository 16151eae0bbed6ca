"""Feeds and augmentation: images per second, and their share of the training step."""
