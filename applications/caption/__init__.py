"""Captions: a sentence for a picture, and pictures and sentences in one space, over any body of the zoo."""
