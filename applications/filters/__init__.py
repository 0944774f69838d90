"""Filters set by hand: what a convolution does to a picture, and every worked example of a course, step by step."""
