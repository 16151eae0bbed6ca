"""Where batches come from: data sets, augmentation, feeds."""
