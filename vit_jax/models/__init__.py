"""What a network computes: Flax Linen modules and the registry of their names."""
