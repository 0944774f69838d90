"""All networks on the same data, beside what is to be beaten."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

from applications.caption import baselines, learning
from applications.caption.config import NETWORKS, Captioning
from applications.caption.scores import cells, score

BLIND = "gru, blind"


def compare(config: Captioning, folder: str | Path) -> dict[str, dict[str, Any]]:
    """Train each network, and the recurrent one on black pictures, and score them and the baselines.

    Args:
        config: What is trained, but for the network.
        folder: Each training has a run folder in it; those that are there are gone on with, or opened.

    Returns:
        By name what `Run.result` holds; the baselines have no seconds.

    Raises:
        ValueError: A folder holds another training.
    """
    folder = Path(folder)
    found: dict[str, dict[str, Any]] = {}
    trained = {name: dataclasses.replace(config, network=name, blind=False) for name in NETWORKS}
    trained[BLIND] = dataclasses.replace(config, network="gru", blind=True)
    for name, one in trained.items():
        found[name] = learning.train(one, folder / name.replace(", ", "_")).result
        keras.utils.clear_session(free_memory=True)
    known, part = learning.load(config, "train"), learning.load(config, "test")
    told = {
        "most frequent sentence": [baselines.constant(known)] * len(part),
        "best single sentence in hindsight": [baselines.constant(part)] * len(part),
        "nearest picture": baselines.nearest(known, part.pictures[np.arange(len(part))]),
    }
    for name, sentences in told.items():
        found[name] = json.loads(json.dumps(dataclasses.asdict(score(sentences, part.captions))))
    return found


def table(found: dict[str, dict[str, Any]]) -> str:
    """The scores as Markdown: sentences first, then retrieval."""
    rows = ["| | exact match | BLEU-1 | BLEU-2 | BLEU-3 | BLEU-4 | CIDEr-D | minutes |", "|---|" + "---:|" * 7]
    for name, result in found.items():
        if "exact" in result:
            minutes = f"{result['seconds'] / 60:.1f}" if "seconds" in result else ""
            rows.append("| " + " | ".join([name, *cells(result), minutes]) + " |")
    rows += ["", "| embedding finds | R@1 | R@5 | R@10 | median rank |", "|---|" + "---:|" * 4]
    for name, one in found["embedding"].items():
        if name != "seconds":
            rows.append("| " + " | ".join([name, *cells(one)]) + " |")
    return "\n".join(rows)
