"""Style: a picture in the manner of another, by optimisation and by a network, over any body of the zoo."""
