"""What a policy network of Go learns from 300 games, by what it sees of the board, and with max-pooling.

    python benchmarks/go_encoders.py
    python benchmarks/go_encoders.py --rows history "history, max-pooling 2x2" --epochs 10

The embedded games of GNU Go on 9x9 are split by game. AlphaGo's policy network with four hidden layers of 32 filters is
trained on each encoding with the same steps; then come the same without the board's symmetries, two forms of the
network with max-pooling, a linear filter of 5x5, and a table: how often a move was played by the stones in the 3x3
around it and its distance from the last move. Each is looked at once on the test games. Prints a table in Markdown.
"""

import argparse
import time
from collections.abc import Callable

import keras
import numpy as np

import zoo
from zoo.data.go import EMBEDDED, read_games, split_games, symmetries

FILTERS, HIDDEN_LAYERS = 32, 4
BATCH_SIZE, LEARNING_RATE, WEIGHT_DECAY = 64, 2e-3, 1e-2
COLUMNS = ("sees", "parameters", "top-1 %", "top-5 %", "seconds")


def policy(shape: tuple[int, ...], *, filters: int = FILTERS, hidden_layers: int = HIDDEN_LAYERS) -> keras.Model:
    return zoo.create_model("go_policy_128", input_shape=shape, filters=filters, hidden_layers=hidden_layers)


def linear(shape: tuple[int, ...]) -> keras.Model:
    return zoo.create_model("go_rollout", input_shape=shape)


def pooled(shape: tuple[int, ...], *, strides: int) -> keras.Model:
    """The same layers with max-pooling: 3x3 with stride 1 behind each but the last, or 2x2 with stride 2 and dense."""
    x = inputs = keras.Input(shape)
    for number in range(HIDDEN_LAYERS):
        kernel = 5 if number == 0 else 3
        x = keras.layers.Conv2D(FILTERS, kernel, padding="same", activation="relu", kernel_initializer="he_normal")(x)
        if strides == 1 and number < HIDDEN_LAYERS - 1:
            x = keras.layers.MaxPooling2D(3, 1, padding="same")(x)
        elif strides == 2 and number % 2:
            x = keras.layers.MaxPooling2D(2, 2, padding="same")(x)
    points = shape[0] * shape[1]
    if strides == 1:
        x = keras.layers.Flatten()(keras.layers.Conv2D(1, 1)(x))
    else:
        x = keras.layers.Dense(256, activation="relu")(keras.layers.Flatten()(x))
        x = keras.layers.Dense(points)(x)
    return keras.Model(inputs, keras.layers.Softmax()(x))


# name: what is loaded, network
ROWS: dict[str, tuple[str, Callable[..., keras.Model]]] = {
    "matrix, black 1, white -1 (the course's)": ("matrix", policy),
    "matrix, own 1, opponent -1": ("matrix_to_move", policy),
    "simple, 4 planes": ("simple", policy),
    "history, 8 planes": ("history", policy),
    "tactical, 22 planes": ("tactical", policy),
    "alphago48, 48 planes": ("alphago48", policy),
    "alphago48, without symmetries": ("alphago48:plain", policy),
    "history, max-pooling 3x3, stride 1": ("history", lambda shape: pooled(shape, strides=1)),
    "history, max-pooling 2x2 and dense": ("history", lambda shape: pooled(shape, strides=2)),
    "linear 5x5 on alphago48": ("alphago48", linear),
    "alphago48, 5 layers of 64 filters": ("alphago48", lambda shape: policy(shape, filters=64, hidden_layers=5)),
}


def scores(probabilities: np.ndarray, moves: np.ndarray) -> tuple[float, float]:
    """Top-1 and top-5 in percent."""
    order = np.argsort(-probabilities, axis=1)[:, :5]
    hits = order == moves[:, None]
    return 100 * float(hits[:, 0].mean()), 100 * float(hits.any(axis=1).mean())


def train(name: str, build: Callable[..., keras.Model], epochs: int, seed: int) -> tuple[int, float, float, float]:
    dataset = zoo.data.load(f"go:gnugo9:{name}")
    low, high = dataset.value_range
    options = {"batch_size": BATCH_SIZE, "value_range": (low, high)}
    keras.utils.set_random_seed(seed)
    model = build(dataset.image_shape)
    batches = dataset.pipeline("train", training=True, seed=seed, **options)
    rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, epochs * len(batches))
    trainer = zoo.training.Trainer(
        model,
        optimizer=keras.optimizers.AdamW(rate, weight_decay=WEIGHT_DECAY),
        loss="sparse_categorical_crossentropy",
        steps_per_call=16,
    )
    began = time.monotonic()
    trainer.fit(batches, epochs=epochs)
    seconds = time.monotonic() - began
    test = dataset.pipeline("test", **options)
    moves = np.concatenate([labels.numpy() for _, labels in test.epoch()])
    return zoo.count_params(model)[0], *scores(trainer.predict(test), moves), seconds


def table_of_patterns(seed: int) -> tuple[int, float, float, float]:
    """How often a move was chosen where it could be, by the 3x3 around it and the distance from the last move."""
    began = time.monotonic()
    games, _ = read_games(EMBEDDED["gnugo9"])
    parts = split_games([game.fingerprint() for game in games], seed=seed)
    counts: dict[tuple, list[int]] = {}
    for index in parts["train"]:
        for board, _, point in games[index].replay():
            if point == board.pass_move:
                continue
            keys = patterns(board)
            for candidate, key in keys.items():
                seen = counts.setdefault(key, [0, 0])
                seen[0] += candidate == point
                seen[1] += 1
    rows, moves = [], []
    for index in parts["test"]:
        for board, _, point in games[index].replay():
            if point == board.pass_move:
                continue
            row = np.zeros(board.pass_move)
            for candidate, key in patterns(board).items():
                played, possible = counts.get(key, (0, 0))
                row[candidate] = (played + 0.01) / (possible + 1)
            rows.append(row)
            moves.append(point)
    return len(counts), *scores(np.stack(rows), np.array(moves)), time.monotonic() - began


def patterns(board) -> dict[int, tuple]:
    """For each legal move the smallest of the eight readings of its 3x3, and the distance from the last move."""
    own = board.matrix() * board.to_move
    padded = np.pad(own, 1, constant_values=3)
    size = board.size
    last = board.moves[-1][1] if board.moves and board.moves[-1][1] != board.pass_move else None
    found = {}
    for point in board.geometry.points(board.legal()):
        row, column = divmod(point, size)
        window = padded[row : row + 3, column : column + 3, None]
        readings = [tuple(symmetries.transform(window, number).ravel().tolist()) for number in range(8)]
        distance = -1
        if last is not None:
            down, right = abs(row - last // size), abs(column - last % size)
            distance = min(down + right + max(down, right), 17)
        found[point] = (min(readings), distance)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [*ROWS, "table of 3x3 patterns and distance"]
    parser.add_argument(
        "--rows", nargs="+", choices=names, default=names, metavar="ROW", help="which rows (default: all)"
    )
    parser.add_argument("--epochs", type=int, default=20, help="epochs of 9,357 positions (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, order and symmetries (default: 0)")
    arguments = parser.parse_args()
    print("| " + " | ".join(COLUMNS) + " |\n|---|---:|---:|---:|---:|", flush=True)
    for name in arguments.rows:
        if name in ROWS:
            params, top1, top5, seconds = train(*ROWS[name], arguments.epochs, arguments.seed)
        else:
            params, top1, top5, seconds = table_of_patterns(0)
        print(f"| {name} | {params:,} | {top1:.1f} | {top5:.1f} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
