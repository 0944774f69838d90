"""The strongest simple baseline on the digits: a support vector machine on the same split.

    python benchmarks/digits_svm.py

Kernel width and cost are chosen on the validation split; the test split is looked at once, by the chosen machine.
"""

import argparse
import itertools

import numpy as np
from sklearn.svm import SVC

import zoo

COSTS, GAMMAS = (1, 10, 100), (0.03, 0.1, 0.3, 1.0)


def arrays(data: zoo.data.Dataset, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Pixels 0…1 as vectors (n, 64), and labels (n,)."""
    batches = list(data.pipeline(split, batch_size=1000).epoch())
    pixels = np.concatenate([pictures.numpy() for pictures, _ in batches])
    return pixels.reshape(len(pixels), -1), np.concatenate([labels.numpy() for _, labels in batches])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split-seed", type=int, default=0, help="seed of the split (default: 0)")
    data = zoo.data.load("digits", split_seed=parser.parse_args().split_seed)
    (x, y), (x_val, y_val), (x_test, y_test) = (arrays(data, split) for split in ("train", "validation", "test"))

    def validated(settings: tuple[float, float]) -> float:
        return SVC(C=settings[0], gamma=settings[1]).fit(x, y).score(x_val, y_val)

    cost, gamma = max(itertools.product(COSTS, GAMMAS), key=validated)  # the first of equals: the lowest cost

    def score(machine: SVC, pixels: np.ndarray, labels: np.ndarray) -> str:
        wrong = int(np.sum(machine.predict(pixels) != labels))
        return f"{100 * (1 - wrong / len(labels)):.2f} % ({wrong} of {len(labels)})"

    print(f"SVC, RBF kernel, C={cost}, gamma={gamma} on pixels 0…1; accuracy (wrong)")
    print(f"{'fitted on':<20}{'examples':>9}{'validation':>23}{'test':>23}")
    alone = SVC(C=cost, gamma=gamma).fit(x, y)
    print(f"{'train':<20}{len(y):>9}{score(alone, x_val, y_val):>23}{score(alone, x_test, y_test):>23}")
    both = SVC(C=cost, gamma=gamma).fit(np.concatenate([x, x_val]), np.concatenate([y, y_val]))
    print(f"{'train + validation':<20}{len(y) + len(y_val):>9}{'':>23}{score(both, x_test, y_test):>23}")


if __name__ == "__main__":
    main()
