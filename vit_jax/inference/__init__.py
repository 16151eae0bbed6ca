"""What is done with a trained model: classes of images, its score on a data set, a file for other programs."""
