"""The command `zoo go`. TensorFlow is imported after the arguments are parsed."""

import argparse
import sys
from typing import Any

ENCODER_HELP = "matrix, matrix_to_move, simple, history, tactical, clark8, alphago48, alphago49, alphagozero17, leela18"


def add(commands: Any) -> None:
    """Add `go` to the commands of `zoo`."""
    parser = commands.add_parser("go", help="Go: make games, train on them, play by GTP, matches")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True, help="what to do")
    _add_selfplay(actions)
    _add_encode(actions)
    _add_train_dual(actions)
    _add_train_value(actions)
    _add_reinforce(actions)
    _add_evaluate(actions)
    _add_draw(actions)
    _add_gtp(actions)
    _add_match(actions)
    _add_export(actions)


def _add_selfplay(actions: Any) -> None:
    parser = actions.add_parser(
        "selfplay", help="let GNU Go or a network play against itself, and keep the games as SGF"
    )
    add = parser.add_argument
    add("--engine", default="gnugo", metavar="gnugo|RUN", help="GNU Go, or a run folder's policy (default: gnugo)")
    add("--level", type=int, default=1, help="GNU Go's level, 0 to 10 (default: 1)")
    add("--temperature", type=float, default=1.0, help="a policy's: 0 plays the best move (default: 1)")
    add("--games", type=int, default=300, help="number of games (default: 300)")
    add("--board", type=int, default=9, help="rows and columns, 5 to 19; a policy has its own (default: 9)")
    add("--seed", type=int, default=1, help="seed of openings and engine (default: 1)")
    add("--opening", type=int, default=4, help="random moves at the beginning (default: 4)")
    add("--komi", type=float, default=7.0, help="points for white (default: 7)")
    add("--out", required=True, metavar="DIR", help="folder of the games; GNU Go's that are there stay")
    parser.set_defaults(run=_selfplay)


def _selfplay(arguments: argparse.Namespace) -> None:
    from pathlib import Path

    import rich.progress

    from applications.go.engines import EngineError
    from applications.go.selfplay import make_games, policy_games
    from zoo.data.go import to_sgf
    from zoo.files import write_atomic

    out = Path(arguments.out)
    if arguments.engine != "gnugo":
        from applications.go.network import load_network

        network = load_network(arguments.engine)
        out.mkdir(parents=True, exist_ok=True)
        with rich.progress.Progress(transient=True) as bar:
            task = bar.add_task("games", total=arguments.games)
            games = policy_games(
                network, games=arguments.games, seed=arguments.seed, opening=arguments.opening, komi=arguments.komi,
                temperature=arguments.temperature, progress=lambda done: bar.update(task, completed=done),
            )  # fmt: skip
        for game in games:
            write_atomic(out / game.name, to_sgf(game))
        print(f"{len(games)} games played, in {out}")
        return
    with rich.progress.Progress(transient=True) as bar:
        task = bar.add_task("games", total=arguments.games)
        try:
            played = make_games(
                out, level=arguments.level, games=arguments.games, size=arguments.board,
                seed=arguments.seed, opening=arguments.opening, komi=arguments.komi,
                progress=lambda done: bar.update(task, completed=done),
            )  # fmt: skip
        except EngineError as error:
            raise ValueError(str(error)) from None
    print(f"{played} games played, {arguments.games} in {out}")


def _add_encode(actions: Any) -> None:
    parser = actions.add_parser("encode", help="encode games into shards, which go:DIR then reads")
    parser.add_argument("games", metavar="SGF", help='SGF file, folder of such, or "gnugo9" for the embedded games')
    parser.add_argument("--encoder", default="alphago48", metavar="NAME", help=f"{ENCODER_HELP} (default: alphago48)")
    parser.add_argument("--out", required=True, metavar="DIR", help="new folder")
    parser.set_defaults(run=_encode)


def _encode(arguments: argparse.Namespace) -> None:
    from zoo.data.go import EMBEDDED, encoder, read_games, write_shards

    item = encoder(arguments.encoder)
    games, rejected = read_games(EMBEDDED.get(arguments.games, arguments.games))
    for name, reason in rejected.items():
        print(f"left out: {name}: {reason}", file=sys.stderr)
    total = write_shards(games, item, arguments.out)
    print(f"{total:,} positions of {len(games):,} games, {item.num_planes} planes, in {arguments.out}")


def _add_train_dual(actions: Any) -> None:
    parser = actions.add_parser("train-dual", help="train a network of two heads: which move, and who wins")
    add = parser.add_argument
    add("games", metavar="SGF", help='SGF file, folder of such, or "gnugo9" for the embedded games')
    add("--out", required=True, metavar="DIR", help="new run folder")
    add("--model", default="go_leela_6x128", help="registered name (default: go_leela_6x128)")
    add("--encoder", default="leela18", metavar="NAME", help="alphagozero17, leela18, … (default: leela18)")
    add("--filters", type=int, default=48, help="filters of a layer (default: 48)")
    add("--blocks", type=int, default=4, help="residual blocks (default: 4)")
    add("--epochs", type=int, default=30, help="epochs (default: 30)")
    add("--batch-size", type=int, default=64, help="positions of a batch (default: 64)")
    add("--learning-rate", type=float, default=2e-3, help="at the start; it falls by a cosine (default: 0.002)")
    add("--weight-decay", type=float, default=0.05, help="decoupled weight decay (default: 0.05)")
    add("--value-weight", type=float, default=0.5, help="weight of the value's loss (default: 0.5)")
    add("--seed", type=int, default=0, help="seed of weights, order and symmetries (default: 0)")
    parser.set_defaults(run=_train_dual)


def _train_dual(arguments: argparse.Namespace) -> None:
    from applications.go.dual import train_dual

    names = ("model", "encoder", "filters", "blocks", "epochs", "batch_size", "learning_rate", "weight_decay",
             "value_weight", "seed")  # fmt: skip
    result = train_dual(
        arguments.games, arguments.out, progress=print, **{name: getattr(arguments, name) for name in names}
    )
    print("test: " + ", ".join(f"{name} {value:.4f}" for name, value in result.items()))


def _add_train_value(actions: Any) -> None:
    parser = actions.add_parser("train-value", help="train AlphaGo's value network on a policy's games: who wins")
    add = parser.add_argument
    add("games", metavar="SGF", help="SGF file or folder of such, as zoo go selfplay --engine RUN writes them")
    add("--out", required=True, metavar="DIR", help="new run folder, for --value")
    add("--encoder", default="alphago49", metavar="NAME", help="(default: alphago49)")
    add("--filters", type=int, default=48, help="filters of a layer (default: 48)")
    add("--hidden-layers", type=int, default=5, help="convolutions (default: 5)")
    add("--hidden-units", type=int, default=64, help="units of the dense layer (default: 64)")
    add("--per-game", type=int, default=16, help="positions of a game that are drawn (default: 16)")
    add("--epochs", type=int, default=4, help="epochs (default: 4)")
    add("--batch-size", type=int, default=64, help="positions of a batch (default: 64)")
    add("--learning-rate", type=float, default=2e-3, help="at the start; it falls by a cosine (default: 0.002)")
    add("--weight-decay", type=float, default=0.01, help="decoupled weight decay (default: 0.01)")
    add("--ownership-weight", type=float, default=1.0,
        help="weight of whose each point is at the end; 0 for who wins alone (default: 1)")  # fmt: skip
    add("--seed", type=int, default=0, help="seed of draw, weights, order and symmetries (default: 0)")
    parser.set_defaults(run=_train_value)


def _train_value(arguments: argparse.Namespace) -> None:
    from applications.go.value import train_value

    names = ("encoder", "filters", "hidden_layers", "hidden_units", "per_game", "epochs", "batch_size", "learning_rate",
             "weight_decay", "ownership_weight", "seed")  # fmt: skip
    result = train_value(
        arguments.games, arguments.out, progress=print, **{name: getattr(arguments, name) for name in names}
    )
    print("test: " + ", ".join(f"{name} {value:.4f}" for name, value in result.items()))


def _add_reinforce(actions: Any) -> None:
    parser = actions.add_parser("reinforce", help="train a policy by games against a pool of its earlier selves")
    add = parser.add_argument
    add("folder", metavar="RUN", help="run folder of the policy to begin with")
    add("--games", type=int, default=10_000, help="number of games in all (default: 10000)")
    add("--out", required=True, metavar="DIR", help="run folder; one that was begun with the same settings goes on")
    add("--batch-games", type=int, default=64, help="games of a mini-batch (default: 64)")
    add("--extend", type=int, default=10, help="mini-batches after which the pool is extended (default: 10)")
    add("--learning-rate", type=float, default=1e-3, help="of Adam (default: 0.001)")
    add("--opening", type=int, default=4, help="random moves at the beginning (default: 4)")
    add("--komi", type=float, default=7.0, help="points for white (default: 7)")
    add("--save", type=int, default=10, help="mini-batches between two checkpoints (default: 10)")
    add("--seed", type=int, default=0, help="seed of openings, moves and opponents (default: 0)")
    parser.set_defaults(run=_reinforce)


def _reinforce(arguments: argparse.Namespace) -> None:
    import rich.progress

    from applications.go.reinforce import Reinforcement, reinforce

    names = ("batch_games", "extend", "learning_rate", "opening", "komi", "save", "seed")
    settings = Reinforcement(**{name: getattr(arguments, name) for name in names})
    with rich.progress.Progress(transient=True) as bar:
        task = bar.add_task("games", total=arguments.games)
        result = reinforce(
            arguments.folder, arguments.out, games=arguments.games, settings=settings,
            progress=lambda metrics: bar.update(task, completed=metrics["games"]),
        )  # fmt: skip
    print(
        f"{result['games']:,} games against a pool of {result['pool']}; won {100 * result['won']:.1f} % of the last "
        f"ten mini-batches, in {arguments.out}"
    )


def _add_evaluate(actions: Any) -> None:
    parser = actions.add_parser("evaluate", help="top-1 and top-5 by phase of the game, and calibration")
    parser.add_argument("folder", metavar="RUN", help="run folder, trained on go:…")
    parser.add_argument("--split", default="test", help="train, validation or test (default: test)")
    parser.add_argument("--symmetries", action="store_true", help="take the mean over the board's eight symmetries")
    parser.set_defaults(run=_evaluate)


def _evaluate(arguments: argparse.Namespace) -> None:
    from applications.go.evaluation import evaluate
    from applications.go.network import load_network
    from zoo import runs

    found = evaluate(
        load_network(arguments.folder),
        runs.open_run(arguments.folder),
        split=arguments.split,
        symmetric=arguments.symmetries,
    )
    print("| phase | positions | top-1 % | top-5 % | cross-entropy |\n|---|---:|---:|---:|---:|")
    for item in found.phases:
        print(
            f"| {item.name} | {item.positions:,} | {100 * item.top1:.1f} | {100 * item.top5:.1f} | "
            f"{item.cross_entropy:.3f} |"
        )
    print("\n| said % | played % | positions |\n|---:|---:|---:|")
    for count, said, played in found.calibration:
        print(f"| {100 * said:.1f} | {100 * played:.1f} | {count:,} |")
    print(f"\ncalibration error {100 * found.calibration_error:.1f} %")


def _add_draw(actions: Any) -> None:
    parser = actions.add_parser("draw", help="draw a position of a game with what a network says of it")
    parser.add_argument("folder", metavar="RUN", help="run folder, trained on go:…")
    parser.add_argument("game", metavar="SGF", help="file of one game")
    parser.add_argument("--move", type=int, metavar="N", help="the position after so many moves (default: the last)")
    parser.add_argument("--out", required=True, metavar="PNG", help="picture to write")
    parser.set_defaults(run=_draw)


def _draw(arguments: argparse.Namespace) -> None:
    import numpy as np

    from applications.go.network import load_network, sensible_moves
    from zoo.data import DataError
    from zoo.data.go import draw_board, read_games

    games, rejected = read_games(arguments.game)
    if not games:
        raise DataError(f"{arguments.game} holds no game that can be used: {next(iter(rejected.values()))}")
    game, network = games[0], load_network(arguments.folder)
    count = len(game.moves) if arguments.move is None else arguments.move
    if not 0 <= count <= len(game.moves):
        raise DataError(f"The game has 0 to {len(game.moves)} moves. Received: --move {count}")
    board = game.start()
    if board.size != network.size:
        raise DataError(
            f"The network plays on {network.size}x{network.size}, the game is on {board.size}x{board.size}."
        )
    for colour, point in game.moves[:count]:
        board.play(point, colour)
    (policy,), _ = network([board], symmetric=True)
    legal = np.zeros(len(policy), bool)
    legal[board.geometry.points(sensible_moves(board))] = True
    last = board.moves[-1][1] if board.moves and board.moves[-1][1] != board.pass_move else None
    draw_board(board.matrix(), probabilities=np.where(legal, policy, 0), last=last).save(arguments.out)
    print(arguments.out)


def _add_player_options(parser: Any) -> None:
    add = parser.add_argument
    add("--visits", type=int, metavar="N", help="look ahead by a search of N lines a move (default: policy alone)")
    add("--value", metavar="RUN", help="the search's value network, a run of train-value (default: RUN's own value)")
    add("--playouts", type=float, metavar="SHARE",
        help="share of playouts in the search's judgement, 0 to 1 (default: 0; 1 without a value)")  # fmt: skip
    add("--temperature", type=float, default=0.0, help="0 plays the best move, above draws (default: 0)")
    add("--resign", type=float, metavar="VALUE", help="resign below this value, -1 to 0 (default: never)")
    add("--symmetries", action="store_true", help="policy alone: the mean over eight symmetries")


def _player(folder: str, arguments: argparse.Namespace) -> Any:
    from applications.go.network import load_network, load_value
    from applications.go.players import PolicyPlayer
    from applications.go.search import SearchPlayer
    from zoo.data import DataError

    if arguments.visits is None and (arguments.value or arguments.playouts is not None):
        raise DataError("--value and --playouts are of the search: give --visits as well, such as --visits 200.")
    network = load_network(folder)
    if arguments.visits is None:
        return PolicyPlayer(
            network, temperature=arguments.temperature, resign=arguments.resign, symmetric=arguments.symmetries
        )
    return SearchPlayer(
        network, value=load_value(arguments.value) if arguments.value else None, visits=arguments.visits,
        playouts=arguments.playouts, temperature=arguments.temperature, resign=arguments.resign,
    )  # fmt: skip


def _add_gtp(actions: Any) -> None:
    parser = actions.add_parser("gtp", help="play by the Go Text Protocol, as gogui and twogtp speak it")
    parser.add_argument("folder", metavar="RUN", help="run folder, trained on go:… or by train-dual")
    _add_player_options(parser)
    parser.set_defaults(run=_gtp)


def _gtp(arguments: argparse.Namespace) -> None:
    from applications.go.gtp import GtpEngine

    player = _player(arguments.folder, arguments)
    GtpEngine(player, player.network.size, network=player.network).serve(sys.stdin, sys.stdout)


def _add_match(actions: Any) -> None:
    parser = actions.add_parser("match", help="play a match, with an interval of the result")
    add = parser.add_argument
    add("folder", metavar="RUN", help="run folder of the first side")
    add("--against", default="gnugo:1", metavar="OPPONENT",
        help='"random", "gnugo:LEVEL", another run folder, or a GTP command (default: gnugo:1)')  # fmt: skip
    add("--games", type=int, default=100, help="number of games (default: 100)")
    add("--komi", type=float, default=7.0, help="points for white (default: 7)")
    add("--opening", type=int, default=4, help="random moves at the beginning, the same for a pair (default: 4)")
    add("--seed", type=int, default=0, help="seed of openings and players (default: 0)")
    add("--out", metavar="SGF", help="file to write the games to (default: none)")
    _add_player_options(parser)
    parser.set_defaults(run=_match)


def _match(arguments: argparse.Namespace) -> None:
    from pathlib import Path

    import rich.progress

    from applications.go.engines import gnugo
    from applications.go.match import EngineSide, PlayerSide, play_match
    from applications.go.network import load_network
    from applications.go.players import PolicyPlayer, RandomPlayer
    from zoo.data.go import to_sgf
    from zoo.files import write_atomic

    if arguments.out:
        if Path(arguments.out).is_dir():
            raise ValueError(f"--out must be a file. Received: {arguments.out}, a folder. Name a file in it.")
        Path(arguments.out).parent.mkdir(parents=True, exist_ok=True)
    player = _player(arguments.folder, arguments)
    text = arguments.against
    kind, _, level = text.partition(":")
    second: Any
    if text == "random":
        second = PlayerSide(RandomPlayer())
    elif kind == "gnugo" and (level.isdecimal() or not level):
        second = EngineSide(gnugo(level=int(level or 1)), name=f"GNU Go level {level or 1}", seeded=True)
    elif Path(text).is_dir():
        second = PlayerSide(PolicyPlayer(load_network(text), temperature=arguments.temperature))
    else:
        second = EngineSide(text, name=text)
    with rich.progress.Progress(transient=True) as bar:
        task = bar.add_task("games", total=arguments.games)
        result = play_match(
            PlayerSide(player), second, games=arguments.games, size=player.network.size, komi=arguments.komi,
            seed=arguments.seed, opening=arguments.opening,
            progress=lambda done: bar.update(task, completed=len(done.games)),
        )  # fmt: skip
    print(result)
    if arguments.out:
        write_atomic(arguments.out, to_sgf(result.games))


def _add_export(actions: Any) -> None:
    parser = actions.add_parser("export", help="write a network of two heads as Leela Zero's program reads it")
    parser.add_argument("folder", metavar="RUN", help="run folder of train-dual with a go_leela network on 19x19")
    parser.add_argument("--out", required=True, metavar="FILE", help="file to write; leelaz -w FILE reads it")
    parser.set_defaults(run=_export)


def _export(arguments: argparse.Namespace) -> None:
    from applications.go.leela import write_leela
    from zoo import runs

    write_leela(runs.open_run(arguments.folder).model, arguments.out)
    print(arguments.out)
