"""Segmentation: a class for each pixel, by fully convolutional networks over any body of the zoo."""
