"""How time and memory scale with devices, image and batch: `python -m benchmarks.scaling`."""
