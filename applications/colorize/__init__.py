"""Colorization: colours for a grey picture, as a distribution over 313 colours, over any body of the zoo."""
