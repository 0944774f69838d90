"""Counts of words and linear classifiers: what networks for text must be measured against."""

from collections.abc import Sequence

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from zoo.data.text.encoding import words


def accuracies(train: tuple[Sequence[str], np.ndarray], test: tuple[Sequence[str], np.ndarray]) -> dict[str, float]:
    """Accuracy of linear classifiers on counts of words, 0 to 1.

    Args:
        train: Texts and their classes.
        test: Texts and their classes.

    Returns:
        For each classifier its accuracy on the test texts; the most frequent class is the first of them.
    """
    single = {"tokenizer": words, "token_pattern": None}
    pairs = {**single, "ngram_range": (1, 2)}
    classifiers = {
        "words, logistic regression": make_pipeline(CountVectorizer(**single), LogisticRegression(max_iter=2000)),
        "words and pairs, TF-IDF, linear SVM": make_pipeline(TfidfVectorizer(**pairs, sublinear_tf=True), LinearSVC()),
    }
    most = np.bincount(train[1]).argmax()
    found = {"most frequent class": float(np.mean(test[1] == most))}
    for name, classifier in classifiers.items():
        classifier.fit(list(train[0]), train[1])
        found[name] = float(classifier.score(list(test[0]), test[1]))
    return found
