"""Who looks ahead: a search that a policy guides and a value network, playouts or both judge.

PUCT, from Silver et al., "Mastering the game of Go with deep neural networks and tree search", Nature 529, 2016,
section "Searching with policy and value networks", with the exploration of "Mastering the game of Go without human
knowledge", Nature 550, 2017. Positions are judged in batches: a line that
waits for its judgement counts as lost meanwhile, so that the next one goes elsewhere (virtual loss; Chaslot et al.,
"Parallel Monte-Carlo Tree Search", 2008).
"""

import math
import random

import numpy as np

from applications.go.network import Network, ValueNetwork, sensible_moves
from applications.go.players import check_options, drawn, should_pass
from zoo.data import DataError
from zoo.data.go import BLACK, Board, score

# By how much a move that was never looked at is thought to be worse than its position, times the root of how probable
# the others are together. The form is Leela Zero's.
_REDUCTION = 0.3

# What the lines that are judged together are at most; a batch of all would look at the same few moves.
BATCH_SIZE = 8


class Tree:
    """A position that was judged, and how often its moves were looked at.

    Args:
        board: The position.
        moves: The moves that are looked at.
        priors: Their probabilities by the policy, (n,), of sum 1.
        value: The judgement for the player to move, -1 to 1.

    Attributes:
        visits: For each move the number of lines through it, (n,).
        totals: Sums of their judgements for the player who moves here, (n,).
        children: The positions after moves, by the move's place; None where the judgement is waited for.
    """

    __slots__ = ("_zobrist", "children", "moves", "priors", "to_move", "totals", "value", "visits")

    def __init__(self, board: Board, moves: list[int], priors: np.ndarray, value: float) -> None:
        self.moves = moves
        self.priors = priors
        self.value = value
        self.visits = np.zeros(len(moves))
        self.totals = np.zeros(len(moves))
        self.children: dict[int, Tree | None] = {}
        self.to_move = board.to_move
        self._zobrist = board.zobrist

    def is_of(self, board: Board) -> bool:
        """Whether the position is a board's."""
        return (self._zobrist, self.to_move) == (board.zobrist, board.to_move)

    @property
    def num_lines(self) -> int:
        """Number of lines that were looked at from here."""
        return int(self.visits.sum())

    def best(self, exploration: float) -> int:
        """The place of the move to look at next."""
        visits = self.visits
        seen = visits > 0
        unknown = self.value - _REDUCTION * math.sqrt(self.priors[seen].sum())
        worth = np.where(seen, self.totals / np.maximum(visits, 1), unknown)
        factor = exploration * math.sqrt(visits.sum() + 1)
        return int(np.argmax(worth + factor * self.priors / (1 + visits)))


class Judge:
    """What a policy and a value network say of positions, in one call for each network.

    Where the planes of one network begin with those of the other, as AlphaGo's 49 do, they are made once.

    Args:
        network: The policy, with a value or without.
        value: A value network, which is asked in place of the policy's own value; None for none.

    Raises:
        DataError: The networks are of boards of different sizes.
    """

    def __init__(self, network: Network, value: ValueNetwork | None = None) -> None:
        if value is not None and value.size != network.size:
            raise DataError(
                f"Policy and value play on one board. Received: {network.size}x{network.size} and "
                f"{value.size}x{value.size}"
            )
        self.network, self.value = network, value
        self.has_value = value is not None or network.has_value
        groups, more = network.encoder.groups, value.encoder.groups if value else ()
        self._shared = more[: len(groups)] == groups and not network.encoder.signed

    def encode(self, board: Board) -> tuple[np.ndarray, np.ndarray | None]:
        """The planes of a position for both networks, (size, size, channels) int8 each."""
        if self.value is None:
            return self.network.encoder.encode(board), None
        planes = self.value.encoder.encode(board)
        if self._shared:
            return planes[..., : self.network.encoder.num_planes], planes
        return self.network.encoder.encode(board), planes

    def __call__(
        self, planes: list[tuple[np.ndarray, np.ndarray | None]], *, symmetric: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities (n, points or points + 1) and values (n,) of positions that were encoded.

        Args:
            planes: What `encode` gave.
            symmetric: Whether the policy is the mean over the board's eight symmetries.
        """
        policy, values = self.network.judge(np.stack([own for own, _ in planes]), symmetric=symmetric)
        if self.value is not None:
            values = self.value.judge(np.stack([other for _, other in planes if other is not None]))
        return policy, values


class SearchPlayer:
    """Plays the move that a search has looked at most.

    A position at the end of a line is judged by a value network, by a game played out at random to its end, or by the
    mean of both, as AlphaGo did. What was looked at of the position that the game has come to stays for the next move.

    Args:
        network: The policy; without a value of its own or `value`, playouts alone judge.
        value: A value network, which is asked in place of the policy's own value.
        visits: Number of lines for a move, at least 1; those that the search before left count.
        playouts: Share of the playout in the judgement, 0 to 1; None for 1 without a value and 0 with one.
        exploration: c in c * P * sqrt(N) / (1 + n), above 0.
        batch_size: Number of positions that are judged together, at least 1.
        temperature: As `PolicyPlayer`, on the numbers of visits.
        resign: Judgement below which it resigns, -1 to 0; None for never.
        seed: Of playouts and draws.

    Raises:
        DataError: An argument is illegal.
    """

    def __init__(
        self,
        network: Network,
        *,
        value: ValueNetwork | None = None,
        visits: int = 200,
        playouts: float | None = None,
        exploration: float = 1.5,
        batch_size: int = BATCH_SIZE,
        temperature: float = 0.0,
        resign: float | None = None,
        seed: int = 0,
    ) -> None:
        check_options(temperature, resign)
        judge = Judge(network, value)
        share = (0.0 if judge.has_value else 1.0) if playouts is None else playouts
        if visits < 1 or not 0 <= share <= 1 or exploration <= 0 or batch_size < 1:
            raise DataError(
                "visits and batch_size must be at least 1, playouts from 0 to 1, exploration above 0. Received: "
                f"visits={visits}, batch_size={batch_size}, playouts={playouts}, exploration={exploration}"
            )
        if share < 1 and not judge.has_value:
            raise DataError(
                f"Without a value, playouts alone judge: playouts=1, or give a value network. Received: "
                f"playouts={playouts}"
            )
        self.name = f"search of {visits}"
        self.network = network
        self.visits = visits
        self.share = share
        self.exploration = exploration
        self.batch_size = batch_size
        self.temperature = temperature
        self.resign = resign
        self.root: Tree | None = None
        self._judge = judge
        self._played: tuple[list[tuple[int, int]], float] = ([], 0.0)
        self._rng = random.Random(seed)

    def new_game(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self.root = None

    def choose(self, board: Board) -> int | None:
        if should_pass(board):
            return board.pass_move
        root = self.search(board)
        chosen = int(root.visits.argmax())
        if self.resign is not None and root.totals[chosen] / max(root.visits[chosen], 1) < self.resign:
            return None
        return drawn(root.moves, root.visits, self.temperature, self._rng)

    def search(self, board: Board) -> Tree:
        """The tree of `visits` lines from a position, which stays as it is."""
        ahead = board.copy()
        root = self._left_over(board)
        if root is None:
            planes = [self._judge.encode(ahead)]
            policies, values = self._judge(planes, symmetric=True)
            root = self._grown(ahead, policies[0], self._worth(ahead, values[0]))
        self.root, self._played = root, (list(board.moves), board.komi)
        while (missing := self.visits - root.num_lines) > 0:
            self._look(root, ahead, min(missing, self.batch_size))
        return root

    def _left_over(self, board: Board) -> Tree | None:
        """What the search before knows of a position."""
        node, (played, komi) = self.root, self._played
        if node is None or komi != board.komi or board.moves[: len(played)] != played:
            return None
        for colour, move in board.moves[len(played) :]:
            if node is None or colour != node.to_move or move not in node.moves:
                return None
            node = node.children.get(node.moves.index(move))
        return node if node is not None and node.is_of(board) else None

    def _look(self, root: Tree, board: Board, count: int) -> None:
        """Follow up to `count` lines to their ends, judge these together, and tell the positions before."""
        waiting = []
        for _ in range(count):
            line = self._line(root, board)
            node, index = line[-1]
            waits = index in node.children
            if waits:
                # The end of this line waits for its judgement already.
                for earlier, place in line:
                    earlier.visits[place] -= 1
                    earlier.totals[place] += 1
            elif board.is_over:
                self._tell(line, -_won(board, board.to_move))
            else:
                node.children[index] = None
                drawn_worth = playout(board.copy(), self._rng) if self.share else 0.0
                waiting.append((line, self._judge.encode(board), drawn_worth))
            for _ in line:
                board.undo()
            if waits:
                break
        if not waiting:
            return
        policies, values = self._judge([planes for _, planes, _ in waiting])
        for (line, _, drawn_worth), policy, value in zip(waiting, policies, values, strict=True):
            for node, index in line:
                board.put(node.moves[index], node.to_move)
            node, index = line[-1]
            worth = self.share * drawn_worth + (1 - self.share) * float(value)
            node.children[index] = self._grown(board, policy, worth)
            self._tell(line, -worth)
            for _ in line:
                board.undo()

    def _line(self, root: Tree, board: Board) -> list[tuple[Tree, int]]:
        """Play the most promising moves on the board up to a position that is not known, and count them as lost."""
        line, node = [], root
        while True:
            index = node.best(self.exploration)
            node.visits[index] += 1
            node.totals[index] -= 1
            line.append((node, index))
            board.put(node.moves[index], node.to_move)
            child = node.children.get(index)
            if child is None:
                return line
            node = child

    @staticmethod
    def _tell(line: list[tuple[Tree, int]], worth: float) -> None:
        """Put a judgement, for the player of the last move, in place of the loss that was assumed."""
        for node, index in reversed(line):
            node.totals[index] += 1 + worth
            worth = -worth

    def _worth(self, board: Board, value: float) -> float:
        """The judgement of a position for the player to move, -1 to 1."""
        worth = (1 - self.share) * float(value)
        return worth + self.share * playout(board.copy(), self._rng) if self.share else worth

    def _grown(self, board: Board, policy: np.ndarray, worth: float) -> Tree:
        """A judged position, with its moves."""
        moves = board.geometry.points(sensible_moves(board))
        # A pass is looked at where the game may end by it, or nothing else is left.
        if not moves or (board.moves and board.moves[-1][1] == board.pass_move):
            moves.append(board.pass_move)
        # A policy without a pass gives it what it gives the other moves in the mean.
        priors = np.array([policy[move] if move < len(policy) else 1 / len(moves) for move in moves], np.float64)
        total = priors.sum()
        priors = priors / total if total > 0 else np.full(len(moves), 1 / len(moves))
        return Tree(board, moves, priors, worth)


def playout(board: Board, rng: random.Random) -> float:
    """Play on at random until nothing is left; 1 where the player to move has won, -1 where he has lost.

    No eyes are filled. Chains in atari beside the last move are taken or saved first, as in MoGo (Gelly et al. 2006,
    "Modification of UCT with Patterns in Monte-Carlo Go"): without it, playouts are blind to the simplest fights.
    """
    player = board.to_move
    limit = len(board.moves) + 2 * board.pass_move
    points = board.geometry.points
    while not board.is_over and len(board.moves) < limit:
        sensible = sensible_moves(board)
        urgent = _urgent(board) & sensible if board.moves else 0
        moves = points(urgent or sensible)
        board.put(rng.choice(moves) if moves else board.pass_move, board.to_move)
    return _won(board, player)


def _urgent(board: Board) -> int:
    """Where the last move can be answered: its chain or those beside it that are in atari."""
    geometry = board.geometry
    last = board.moves[-1][1]
    if last == board.pass_move:
        return 0
    found = 0
    chain = board.chains[last]
    if chain is not None and chain.liberties & (chain.liberties - 1) == 0:
        found |= chain.liberties
    for neighbour in geometry.neighbours[last]:
        chain = board.chains[neighbour]
        if chain is not None and chain.colour == board.to_move and chain.liberties & (chain.liberties - 1) == 0:
            # Saved where the last liberty gives two more, else the chain is given up.
            beyond = geometry.grown(chain.liberties) & ~board.occupied & ~chain.liberties
            if beyond & (beyond - 1):
                found |= chain.liberties
    return found


def _won(board: Board, player: int) -> float:
    margin = score(board).margin * (1 if player == BLACK else -1)
    return float((margin > 0) - (margin < 0))
