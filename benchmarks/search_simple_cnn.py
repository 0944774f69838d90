"""What a search finds for the digits, beside random search of the same time and beside the defaults.

    python benchmarks/search_simple_cnn.py --out searches --finalists 1
    python benchmarks/search_simple_cnn.py --out searches --trials 9 --epochs 20 --seeds 101

Hyperband searches first; random search then has as much time. With `--finalists`, a final round on folds of the
training and validation examples follows. The best configuration of each, and the defaults, are trained with seeds that
no trial had, and tested once. A run that was cut off goes on where it was. Prints a table in Markdown.
"""

import argparse
import dataclasses
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

import tuning
import zoo
from tuning.plan import Plan
from zoo import runs

COLUMNS = ("configuration", "trials", "search, minutes", "best trial: validation %",
           "folds: mean %", "of the defaults", "test %, one number a seed",
           "mean %", "mean test loss", "parameters", "epochs")  # fmt: skip


def retrained(
    name: str, recipe: Path | None, seeds: Sequence[int], *, model: str, epochs: int, out: Path
) -> list[dict]:
    """The results of a configuration, a training for each seed."""
    results = []
    for seed in seeds:
        if recipe is None:
            settings = runs.Settings(model=model, epochs=epochs, seed=seed)
        else:
            settings = runs.Settings.from_recipe(recipe, model=model, seed=seed)
        run = runs.train(settings, out / f"{name}_{seed}")
        assert run is not None
        results.append(run.result())
    return results


def row(name: str, results: Sequence[dict], search: tuning.Search | None) -> list[str]:
    """One line of the table."""
    tests = [100 * result["evaluation"]["accuracy"] for result in results]
    found = [""] * 5
    if search is not None:
        seconds = search.log.seconds()
        found = [str(len(search.trials)), f"{seconds / 60:.1f}", f"{100 * search.best.metrics['val_accuracy']:.2f}"]
        means = {item.trial.number: f"{100 * item.mean:.2f}" for item in search.finalists}
        found += [means.get(search.best.number, ""), means.get(0, "")]
    return [
        name, *found, ", ".join(f"{test:.2f}" for test in tests), f"{statistics.mean(tests):.2f}",
        f"{statistics.mean(result['evaluation']['loss'] for result in results):.4f}",
        f"{results[0]['num_params']:,}", ", ".join(str(result["epochs"]) for result in results),
    ]  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="simple_cnn", help="registered name (default: simple_cnn)")
    parser.add_argument("--out", type=Path, required=True, help="folder for searches and runs")
    parser.add_argument("--trials", type=int, default=30, help="configurations of the search (default: 30)")
    parser.add_argument("--epochs", type=int, default=150, help="largest number of epochs (default: 150)")
    parser.add_argument("--objective", default="val_accuracy", help="what decides (default: val_accuracy)")
    parser.add_argument("--budget", type=float, default=20.0, help="most minutes of each search (default: 20)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the searches (default: 1)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102, 103], help="seeds of the trainings after it")
    parser.add_argument("--finalists", type=int, default=0, help="configurations of the final round (default: 0, none)")
    parser.add_argument("--folds", type=int, default=5, help="folds of the final round (default: 5)")
    parser.add_argument("--random", action=argparse.BooleanOptionalAction, default=True,
        help="search by chance too (default: yes)")  # fmt: skip
    parser.add_argument("--also", metavar="TRIAL", help="a trial of hyperband to train after it too (default: none)")
    arguments = parser.parse_args(argv)
    options = {"seed": arguments.seed, "objective": arguments.objective, "epochs": arguments.epochs}
    model, out = arguments.model, arguments.out
    print(f"# {zoo.__version__}, {model} on digits, {' '.join(sys.argv)}", flush=True)
    hyperband = {"out": out / "hyperband", "tuner": "hyperband", "trials": arguments.trials,
                 "budget": 60 * arguments.budget}  # fmt: skip
    searches = {"hyperband": tuning.search(model, **hyperband, **options)}
    asked = [hyperband]
    if arguments.random:
        seconds = max(searches["hyperband"].log.seconds(), 1.0)
        asked.append({"out": out / "random", "tuner": "random", "trials": 10_000, "budget": seconds})
        searches["random search"] = tuning.search(model, **asked[-1], **options)
    if arguments.finalists:
        finals = {"finalists": arguments.finalists, "folds": arguments.folds}
        for one in asked:
            tuning.search(model, **one, **options, **finals)
    rows = []
    if arguments.also:
        trial = next(item for item in searches["hyperband"].trials if item.id == arguments.also)
        plan = Plan.from_json(searches["hyperband"].config)
        settings = plan.training(trial.values, trial.number)
        drawn = [
            runs.train(dataclasses.replace(settings, seed=seed), out / f"drawn_{seed}") for seed in arguments.seeds
        ]
        rows.append(row(f"trial {trial.id}", [run.result() for run in drawn if run is not None], None))
        print(" | ".join(rows[-1]), flush=True)
    for name, search in (("default", None), *searches.items()):
        results = retrained(
            name.split()[0], search and search.recipe, arguments.seeds, model=model, epochs=arguments.epochs, out=out
        )
        rows.append(row(name, results, search))
        print(" | ".join(rows[-1]), flush=True)
    lines = [COLUMNS, ["---"] * len(COLUMNS), *rows]
    print("\n".join("| " + " | ".join(line) + " |" for line in lines))
    for search in searches.values():
        print(f"{search.folder.name}: {search.best.hyperparameters}")


if __name__ == "__main__":
    main()
