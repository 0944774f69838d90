"""Positions of many games, encoded: in memory, in shards on disk, and as a data set for training.

A plane of a position is kept as bits, so that a million positions of AlphaGo's 48 planes take 2 GB and not 17.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.data.augmentation import Augmentation, Mix
from zoo.data.dataset import Dataset, Form, OnBad, Split
from zoo.data.errors import DAMAGED, DataError, printable
from zoo.data.go import symmetries
from zoo.data.go.drawing import draw_stones
from zoo.data.go.encoders import Encoder, encoder
from zoo.data.go.games import Game, read_games
from zoo.data.go.geometry import geometry
from zoo.data.pictures import Decoder
from zoo.data.pipeline import Examples, Pipeline, visit_batches
from zoo.data.splits import SPLITS
from zoo.files import write_json

# 300 games of GNU Go 3.8 at level 1 against itself on 9x9, komi 7, after four random moves: `zoo go selfplay --engine
# gnugo --level 1 --games 300 --board 9 --seed 1`.
EMBEDDED = {"gnugo9": Path(__file__).with_name("gnugo9.sgf.gz")}

DEFAULT_ENCODER = "alphago48"
INDEX = "index.json"
FORMAT = 1
# Changes when an encoder's planes do: shards of another version are refused.
PLANES_VERSION = 2

VALIDATION, TEST = 1 / 12, 1 / 6
# Under "skip" so many games may be bad, or this fraction of all, whichever is more; as for files of a folder.
_MOST_SKIPPED, _MOST_SKIPPED_FRACTION = 10, 0.01


@dataclass(frozen=True)
class Positions:
    """Encoded positions, in the order of their games.

    Attributes:
        size: Rows and columns of the board.
        encoder: The encoder that made the planes.
        packed: Planes as bits, (n, bytes) uint8.
        moves: The move that was played, (n,) int32; `size * size` is a pass.
        values: 1 where the player to move won the game, -1 where he lost, 0 for a draw or unknown, (n,) int8.
        games: Number of the game, (n,) int32.
        numbers: Number of the move in its game, from 0, (n,) int32.
        names: Names of the games.
        fingerprints: Fingerprints of the games (`Game.fingerprint`).
    """

    size: int
    encoder: Encoder
    packed: np.ndarray
    moves: np.ndarray
    values: np.ndarray
    games: np.ndarray
    numbers: np.ndarray
    names: tuple[str, ...]
    fingerprints: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.moves)

    def planes(self, indices: np.ndarray) -> np.ndarray:
        """The planes of some positions, (n, size, size, channels) int8."""
        count = _num_sets(self.encoder)
        bits = np.unpackbits(self.packed[indices], axis=1, count=self.size**2 * count)
        planes = bits.reshape(-1, self.size, self.size, count).view(np.int8)
        return planes[..., :1] - planes[..., 1:] if self.encoder.signed else planes

    def of_games(self, games: np.ndarray) -> np.ndarray:
        """Indices of the positions of some games, rising."""
        return np.flatnonzero(np.isin(self.games, games))


def _num_sets(item: Encoder) -> int:
    return sum(group.num_planes for group in item.groups)


def encode_games(
    games: Sequence[Game], item: Encoder, *, passes: bool = True, per_game: int | None = None, seed: int = 0
) -> Positions:
    """Encode the positions of some games, each before its move.

    Args:
        games: Games on boards of one size.
        item: The encoder.
        passes: Whether positions in which a player passed are kept.
        per_game: How many positions of a game are drawn at most, at least 1; None for all. A value network that sees
            many positions of a game learns the game, as they differ by a stone and have one result (Silver et al.
            2016, section "Reinforcement learning of value networks").
        seed: Of that draw.

    Raises:
        DataError: There is no game, the boards differ in size, or `per_game` is below 1.
    """
    if per_game is not None and per_game < 1:
        raise DataError(f"per_game must be at least 1, or None for all positions. Received: per_game={per_game}")
    sizes = {game.size for game in games}
    if len(sizes) != 1:
        raise DataError(f"Games must be on boards of one size. Received: {sorted(sizes) or 'no game'}")
    (size,) = sizes
    board_geometry = geometry(size)
    packed, moves, values, numbers, owners = [], [], [], [], []
    for index, game in enumerate(games):
        winner = game.winner or 0
        kept = [number for number, (_, point) in enumerate(game.moves) if passes or point != board_geometry.num_points]
        if per_game is not None and len(kept) > per_game:
            kept = np.random.default_rng((seed, index)).choice(kept, per_game, replace=False).tolist()
        wanted = set(kept)
        for number, (board, colour, point) in enumerate(game.replay()):
            if number not in wanted:
                continue
            packed.append(np.packbits(board_geometry.planes(item.sets(board)).ravel()))
            moves.append(point)
            values.append(winner * colour)
            numbers.append(number)
            owners.append(index)
    return Positions(
        size, item, np.stack(packed) if packed else np.zeros((0, 0), np.uint8), np.array(moves, np.int32),
        np.array(values, np.int8), np.array(owners, np.int32), np.array(numbers, np.int32),
        tuple(game.name for game in games), tuple(game.fingerprint() for game in games),
    )  # fmt: skip


def write_shards(games: Sequence[Game], item: Encoder, folder: str | Path, *, games_per_shard: int = 1000) -> int:
    """Encode games into a folder of `.npz` files, for data that is larger than one wants to encode twice.

    Args:
        games: Games on boards of one size.
        item: The encoder.
        folder: A new or empty folder.
        games_per_shard: Games of a file, at least 1.

    Returns:
        The number of positions.

    Raises:
        DataError: The folder holds something, or the games differ in size.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{printable(str(folder))} is not empty; shards need a folder of their own.")
    if games_per_shard < 1:
        raise DataError(f"games_per_shard must be at least 1. Received: games_per_shard={games_per_shard}")
    if len({game.size for game in games}) != 1:
        raise DataError(f"Games must be on boards of one size. Received: {sorted({game.size for game in games})}")
    folder.mkdir(parents=True, exist_ok=True)
    files: list[str] = []
    total = 0
    for start in range(0, len(games), games_per_shard):
        part = encode_games(games[start : start + games_per_shard], item)
        name = f"shard_{len(files):05d}.npz"
        np.savez(
            folder / name, packed=part.packed, moves=part.moves, values=part.values, games=part.games,
            numbers=part.numbers, names=np.array(part.names), fingerprints=np.array(part.fingerprints),
        )  # fmt: skip
        files.append(name)
        total += len(part)
    # Last: a folder without an index was not finished.
    write_json(
        folder / INDEX,
        {
            "format": FORMAT, "planes_version": PLANES_VERSION, "encoder": item.name, "size": games[0].size,
            "positions": total, "games": len(games), "files": files,
        },
    )  # fmt: skip
    return total


def read_shards(folder: str | Path) -> Positions:
    """The positions of a folder that `write_shards` wrote.

    Raises:
        DataError: It is none, was not finished, is damaged, or was written by another version.
    """
    folder = Path(folder)
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        found = (index["format"], index["planes_version"])
        if found != (FORMAT, PLANES_VERSION):
            raise DataError(
                f"{printable(str(folder))} was written by another version: {found}, this one reads "
                f"{(FORMAT, PLANES_VERSION)}. Encode the games again."
            )
        item = encoder(index["encoder"])
        parts: dict[str, list[np.ndarray]] = {}
        num_games = 0
        for name in index["files"]:
            # Opened here: where the file is damaged, NumPy would leave it open.
            with open(folder / name, "rb") as file, np.load(file) as arrays:
                for key in arrays.files:
                    array = arrays[key]
                    parts.setdefault(key, []).append(array + np.int32(num_games) if key == "games" else array)
                num_games += len(arrays["names"])
        joined: dict[str, Any] = {key: np.concatenate(arrays) for key, arrays in parts.items()}
        if len(joined["moves"]) != index["positions"]:
            raise ValueError(f"{index['positions']} positions expected, {len(joined['moves'])} found")
    except DataError:
        raise
    except (*DAMAGED, KeyError) as error:
        raise DataError(f"{printable(str(folder))} cannot be read as shards: {error}.") from None
    names, fingerprints = (tuple(map(str, joined.pop(key))) for key in ("names", "fingerprints"))
    return Positions(index["size"], item, names=names, fingerprints=fingerprints, **joined)


def split_games(fingerprints: Sequence[str], *, seed: int) -> dict[str, np.ndarray]:
    """Divide games into training, validation and test; equal games, also turned or mirrored, come into the same.

    Args:
        fingerprints: One for each game.
        seed: Another seed gives another split.

    Returns:
        For each split the numbers of its games, rising.
    """
    unique = sorted(set(fingerprints), key=lambda text: hashlib.sha256(f"{seed}/{text}".encode()).digest())
    num_test, num_validation = round(len(unique) * TEST), round(len(unique) * VALIDATION)
    parts = {
        "test": unique[:num_test],
        "validation": unique[num_test : num_test + num_validation],
        "train": unique[num_test + num_validation :],
    }
    split_of = {text: split for split, part in parts.items() for text in part}
    return {
        split: np.array([index for index, text in enumerate(fingerprints) if split_of[text] == split], np.int32)
        for split in SPLITS
    }


class _Names(Sequence[str]):
    """Names of positions, such as "game_00017.sgf, move 34"; made when asked for."""

    def __init__(self, positions: Positions, indices: np.ndarray) -> None:
        self._positions, self._indices = positions, indices

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: Any) -> Any:
        position = self._indices[index]
        name = self._positions.names[self._positions.games[position]]
        return f"{name}, move {self._positions.numbers[position] + 1}"


@dataclass(frozen=True)
class GoSplit:
    """Some of the positions; a `zoo.data.dataset.Split`."""

    positions: Positions
    indices: np.ndarray
    symmetric: bool = True

    @property
    def names(self) -> Sequence[str]:
        """What each position is called."""
        return _Names(self.positions, self.indices)

    def __len__(self) -> int:
        return len(self.indices)

    def examples(self, form: Form) -> Examples:
        """The positions as they are; boards are neither resized nor cropped."""
        return _Encoded(self)


class _Encoded:
    """Planes and moves, in training turned and mirrored together."""

    shuffles_itself = False

    def __init__(self, split: GoSplit) -> None:
        self._split = split
        self._moves = symmetries.moves(split.positions.size)

    def __len__(self) -> int:
        return len(self._split)

    def _read(self, visits: np.ndarray, chance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        positions = self._split.positions
        indices = self._split.indices[visits % len(self)]
        planes, moves = positions.planes(indices), positions.moves[indices]
        if chance >= 0 and self._split.symmetric:
            drawn = _draws(int(chance), visits)
            planes = planes.copy()
            for number in range(1, symmetries.NUM_SYMMETRIES):
                chosen = drawn == number
                if chosen.any():
                    planes[chosen] = symmetries.transform(planes[chosen], number)
            moves = self._moves[drawn, moves]
        # The pipeline maps 0 to 255 to the network's range, as for pixels.
        scaled = (planes + 1) * np.float32(127.5) if positions.encoder.signed else planes * np.float32(255)
        return scaled, moves

    def batches(
        self, order: tf.Tensor, batch_size: int, start: tf.Tensor, seed: tf.Tensor | None, chance: tf.Tensor | None
    ) -> tf.data.Dataset:
        # A seed of an epoch is never negative.
        key = tf.constant(-1, tf.int64) if chance is None else tf.abs(chance)

        def fetch(visit: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            planes, moves = tf.numpy_function(self._read, [visit, key], (tf.float32, tf.int32))
            return visit, planes, tf.ensure_shape(moves, (None,))

        return visit_batches(order, batch_size, start).map(fetch, num_parallel_calls=2, deterministic=True)


def _draws(chance: int, visits: np.ndarray) -> np.ndarray:
    """A symmetry for each visit, which depends on the epoch's seed and the visit alone (the mixer of SplitMix64)."""
    with np.errstate(over="ignore"):
        state = visits.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(chance % (1 << 64))
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((state ^ (state >> np.uint64(31))) >> np.uint64(61)).astype(np.int64)


class GoDataset(Dataset):
    """Positions and the moves that were played there; labels are points. `zoo.data.load("go:…")` makes it."""

    def pipeline(
        self,
        split: str,
        *,
        batch_size: int,
        image_size: tuple[int, int] | None = None,
        channels: int | None = None,
        value_range: tuple[float, float] | None = None,
        training: bool = False,
        seed: int = 0,
        augmentation: Augmentation | str | None = None,
        mix: Mix | None = None,
        balance: float = 0.0,
        repeats: int = 1,
        decoder: Decoder = "exact",
    ) -> Pipeline:
        """Batches of a split: (planes, moves), (batch, size, size, channels) float32 and (batch,) int32.

        In training each position is turned and mirrored at random, by one of eight symmetries, unless the data set was
        loaded as "plain".

        Args:
            split: "train", "validation" or "test".
            batch_size: Positions of a batch, at least 1; the last batch may be smaller.
            image_size: The board's, or None.
            channels: The encoder's, or None.
            value_range: What the planes' lowest and highest value become; None for what they are.
            training: Whether each epoch has its own order and symmetries.
            seed: What order and symmetries depend on, with the epoch; 0 to 2**32 - 1.
            augmentation: None or "": what is done to pictures moves stones away from the points that labels name.
            mix: None.
            balance: 0.
            repeats: 1.
            decoder: For pictures; has no effect.

        Raises:
            DataError: An argument is illegal.
        """
        source = self._split(split)
        if isinstance(augmentation, str):
            augmentation = Augmentation.parse(augmentation)
        if (augmentation is not None and augmentation.steps) or mix is not None or balance or repeats != 1:
            raise DataError(
                'Positions are turned and mirrored with their moves, and not augmented as pictures are. Set augment="" '
                f'(--augment ""), and no mixing, balance or repeats. Received: {augmentation or mix}, '
                f"balance={balance}, repeats={repeats}"
            )
        if batch_size < 1:
            raise DataError(f"batch_size must be at least 1. Received: batch_size={batch_size}")
        if not 0 <= seed < 1 << 32:
            raise DataError(f"seed must be from 0 to 2**32 - 1. Received: seed={seed}")
        height, width, planes = self.image_shape
        assert height is not None
        assert width is not None
        assert planes is not None
        if image_size not in (None, (height, width)) or channels not in (None, planes):
            raise DataError(
                f"A board is not resized: expected {height}x{width} and {planes} planes. Received: "
                f"image_size={image_size}, channels={channels}"
            )
        return Pipeline(
            source.examples(Form((height, width), planes, Augmentation(), decoder)),
            (height, width, planes),
            batch_size=batch_size,
            value_range=self.value_range if value_range is None else value_range,
            training=training,
            seed=seed,
            augmentation=Augmentation(),
            mix=None,
            num_classes=len(self.classes),
            weights=None,
            repeats=1,
        )

    def picture_of(self, example: np.ndarray, value_range: tuple[float, float]) -> np.ndarray:
        """The board of an example; the player to move has the black stones, (height, width, 3) uint8."""
        item = encoder(self.encoder_name)
        middle = sum(value_range) / 2
        if item.signed:
            quarter = (value_range[1] - value_range[0]) / 4
            return draw_stones(example[..., 0] > middle + quarter, example[..., 0] < middle - quarter)
        own, opponent = (np.any(example[..., list(planes)] > middle, axis=-1) for planes in item.stones)
        return draw_stones(own, opponent)

    @property
    def encoder_name(self) -> str:
        """Of the planes."""
        split = self.splits["train"]
        assert isinstance(split, GoSplit)
        return split.positions.encoder.name

    def fold(self, number: int, *, of: int, seed: int = 0, group_by: str | None = None) -> "Dataset":
        """Not for games: their positions are divided by game, by the seed of the split."""
        raise DataError("Games have no folds; another split_seed divides them anew.")


def load(name: str, rest: str, split_seed: int, on_bad: OnBad) -> GoDataset:
    """Find games and encode them: `PATH[:ENCODER[:plain]]`.

    Args:
        name: What was asked for.
        rest: Path of an SGF file, of a folder of such, or of shards, or "gnugo9", which is embedded; encoder, by
            default alphago48; "plain" for training without symmetries.
        split_seed: Seed of the split by game.
        on_bad: What a game with an illegal move does, or a broken file.

    Raises:
        DataError: There are no such games, or they cannot be used.
    """
    path_text, _, options = rest.partition(":")
    wanted, _, form = options.partition(":")
    if form not in ("", "plain"):
        raise DataError(f"Games are go:PATH[:ENCODER[:plain]]. Received: {printable(name)}")
    path = Path(path_text)
    if not path.exists() and path_text in EMBEDDED:
        path = EMBEDDED[path_text]
    bad: dict[str, str] = {}
    if (path / INDEX).is_file():
        positions = read_shards(path)
        if wanted not in ("", positions.encoder.name):
            raise DataError(f"{printable(path_text)} holds planes of {positions.encoder.name}. Received: {wanted}")
    else:
        item = encoder(wanted or DEFAULT_ENCODER)
        games, bad = read_games(path)
        _refuse_bad(path_text, games, bad, on_bad)
        positions = encode_games(games, item)
    played = positions.moves < positions.size**2
    parts = split_games(positions.fingerprints, seed=split_seed)
    splits: dict[str, Split] = {}
    for split, games_of_split in parts.items():
        indices = positions.of_games(games_of_split)
        # A policy's classes are points; who passes is decided outside of the network.
        splits[split] = GoSplit(positions, indices[played[indices]], symmetric=form != "plain")
    if not all(len(splits[split]) for split in SPLITS):
        raise DataError(f"{printable(path_text)} has too few games for three splits: {len(positions.names)}.")
    digest = hashlib.sha256(json.dumps([positions.encoder.name, PLANES_VERSION, positions.fingerprints]).encode())
    digest.update(positions.moves.tobytes())
    board = geometry(positions.size)
    return GoDataset(
        name=name,
        classes=tuple(board.vertex(point) for point in range(board.num_points)),
        image_shape=(positions.size, positions.size, positions.encoder.num_planes),
        splits=splits,
        source=f"{len(positions.names)} games, {printable(path_text)}, planes {positions.encoder.name}",
        licence="",
        fingerprint=digest.hexdigest(),
        value_range=positions.encoder.value_range,
        bad_files=bad,
    )


def _refuse_bad(path: str, games: Sequence[Game], bad: dict[str, str], on_bad: OnBad) -> None:
    total = len(games) + len(bad)
    too_many = on_bad == "skip" and len(bad) > max(_MOST_SKIPPED, _MOST_SKIPPED_FRACTION * total)
    if bad and (on_bad == "raise" or too_many):
        first, reason = next(iter(bad.items()))
        more = 'Mend or remove it, or leave bad games out by on_bad="skip", or "count" for any number of them.'
        raise DataError(f"{printable(path)}: {len(bad)} of {total} games are bad, such as {first}: {reason} {more}")
