"""What a network sees in a picture: maps of its features, of its reasons, of what it would like to see."""
