"""What a search may change of a fine-tuning.

zoo tune resnet20 --data folder:mine --set weights=runs/x --space applications.classify.spaces:stages --out searches/a
"""

from typing import Any

from applications.classify.config import STAGES


def stages(hp: Any) -> dict[str, Any]:
    """The two stages: how long and fast the head, how fast the body from block to block, and what batch norms do.

    Args:
        hp: keras-tuner's hyper-parameters.

    Returns:
        Settings of a training; the defaults are those of `zoo finetune`.
    """
    return {
        **STAGES,
        "head_epochs": hp.Choice("head_epochs", [0, 5, 10, 20], default=STAGES["head_epochs"]),
        "head_learning_rate": hp.Float(
            "head_learning_rate", 1e-3, 3e-2, sampling="log", default=STAGES["head_learning_rate"]
        ),
        "learning_rate": hp.Float("learning_rate", 1e-4, 1e-2, sampling="log", default=STAGES["learning_rate"]),
        "layer_decay": hp.Choice("layer_decay", [0.5, 0.6, 0.7, 0.8, 0.9, 1.0], default=STAGES["layer_decay"]),
        "batch_norm": hp.Choice("batch_norm", ["frozen", "train", "recalibrate"], default=STAGES["batch_norm"]),
        "weight_decay": hp.Float("weight_decay", 1e-3, 0.1, sampling="log", default=STAGES["weight_decay"]),
        "label_smoothing": hp.Float("label_smoothing", 0.0, 0.2, step=0.05, default=0.0),
    }
