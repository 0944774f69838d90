"""Text: files of it, encodings into numbers, word vectors, makers."""

from zoo.data.text.encoding import ALPHABET, Encoder, fit_words
from zoo.data.text.files import TextDataset
from zoo.data.text.makers import make_order_task
from zoo.data.text.vectors import read_vectors

__all__ = ["ALPHABET", "Encoder", "TextDataset", "fit_words", "make_order_task", "read_vectors"]
