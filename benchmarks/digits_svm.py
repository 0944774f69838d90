"""The strongest simple baseline on the digits: a support vector machine on the same split.

    python benchmarks/digits_svm.py

Kernel width and cost are chosen on the validation split; the test split is looked at once, by the chosen machine.
"""

import argparse
import itertools

import numpy as np
from sklearn.svm import SVC

import zoo


def arrays(data, split):
    """Pixels 0…1 as vectors, and labels."""
    batches = list(data.pipeline(split, batch_size=1000).epoch())
    pixels = np.concatenate([pictures.numpy() for pictures, _ in batches])
    return pixels.reshape(len(pixels), -1), np.concatenate([labels.numpy() for _, labels in batches])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split-seed", type=int, default=0, help="seed of the split (default: 0)")
    data = zoo.data.load("digits", split_seed=parser.parse_args().split_seed)
    (x, y), (x_val, y_val), (x_test, y_test) = (arrays(data, split) for split in ("train", "validation", "test"))

    grid = itertools.product((1, 10, 100), (0.03, 0.1, 0.3, 1.0))
    scored = [(SVC(C=cost, gamma=gamma).fit(x, y).score(x_val, y_val), cost, gamma) for cost, gamma in grid]
    accuracy, cost, gamma = max(scored, key=lambda row: row[0])
    print(f"chosen on validation: C={cost}, gamma={gamma} (validation accuracy {100 * accuracy:.2f} %)")
    print(f"{'fitted on':<20}{'examples':>9}{'test accuracy':>15}{'wrong':>12}")
    for name, pixels, labels in (
        ("train", x, y),
        ("train + validation", np.concatenate([x, x_val]), np.concatenate([y, y_val])),
    ):
        wrong = int(np.sum(SVC(C=cost, gamma=gamma).fit(pixels, labels).predict(x_test) != y_test))
        share = 100 * (1 - wrong / len(y_test))
        print(f"{name:<20}{len(labels):>9}{share:>13.2f} %{f'{wrong} of {len(y_test)}':>12}")


if __name__ == "__main__":
    main()
