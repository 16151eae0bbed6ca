"""What a model computes, and reports on runs."""
