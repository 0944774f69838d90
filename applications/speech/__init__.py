"""Spoken words: sound that synthesisers make, training, listening to long recordings."""
