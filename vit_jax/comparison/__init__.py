"""Several configs trained with the same budget and the same seeds, and what came of each on one page."""
