"""What becomes of training when machines, disks and files fail: `python -m benchmarks.faults`."""
