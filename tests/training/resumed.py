"""A training that is killed again and again, in processes of their own; run by test_resume.py.

    python resumed.py FOLDER KILLS SEED DEVICES

Trains in FOLDER/whole without interruption and in FOLDER/killed with so many kills at random moments. TensorFlow is
imported once: each training is a fork of this process, which itself never starts TensorFlow's runtime.
"""

import os
import random
import signal
import sys
import threading
import time
import traceback
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import keras
import numpy as np
import tensorflow as tf
from keras import layers

import zoo
from zoo import training

EPOCHS, STEPS = 6, 19


def network():
    source = keras.Input((8, 8, 1))
    x = layers.RandomTranslation(0.1, 0.1, seed=3)(source)
    x = layers.Conv2D(8, 3, padding="same")(x)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    x = layers.Dropout(0.3)(layers.Flatten()(x))
    return keras.Model(source, layers.Dense(10, activation="softmax")(x))


def train(folder: Path, pause: float) -> None:
    """The same training whatever `pause`, seconds that each group of batches takes longer."""
    folder.mkdir(exist_ok=True)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    strategy = training.make_strategy(int(sys.argv[4]))
    training.seed_everything(7)
    batches = zoo.data.load("digits").pipeline(
        "train", batch_size=64, training=True, seed=1, augmentation=zoo.data.Augmentation(shift=1)
    )
    rate = keras.optimizers.schedules.CosineDecay(3e-3, EPOCHS * STEPS)
    trainer = training.Trainer(
        network,
        strategy=strategy,
        optimizer=keras.optimizers.AdamW(rate, use_ema=True, ema_momentum=0.9, global_clipnorm=1.0),
        loss="sparse_categorical_crossentropy",
        steps_per_call=2,
    )
    store = training.Checkpoints(folder / "checkpoints")
    trainer.fit(
        batches,
        epochs=EPOCHS,
        validation=zoo.data.load("digits").pipeline("validation", batch_size=64),
        callbacks=[
            training.StopTraining(training.any_of(training.Patience("val_loss", patience=3), training.NonFinite())),
            training.SaveBest(folder / "best"),
            training.MetricsLog(folder),
            keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: time.sleep(pause)),
        ],
        checkpoints=store,
        save_steps=6,
    )
    store.close()


def forked(folder: Path, *, pause: float = 0.0, moment: float | None = None) -> int:
    """Train in a child, which is killed a moment after its training began; returns its exit status."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 1
    try:
        if moment is not None:
            began = threading.Event()
            training.MetricsLog.on_epoch_begin = _announcing(training.MetricsLog.on_epoch_begin, began)

            def kill():
                began.wait()
                time.sleep(moment)
                os.kill(os.getpid(), signal.SIGKILL)

            threading.Thread(target=kill, daemon=True).start()
        train(folder, pause)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _announcing(method, event):
    def call(*arguments):
        event.set()
        return method(*arguments)

    return call


def state(folder: Path) -> dict[str, object]:
    """What the training has left."""
    store = training.Checkpoints(folder / "checkpoints")
    found = store.latest()
    store.close()
    return {
        "step": found.step,
        "state": found.state,
        "metrics": (folder / "metrics.jsonl").read_bytes(),
        "best": (folder / "best" / "manifest.json").read_bytes(),
        **{name: array.tobytes() for name, array in found.arrays.items()},
    }


def main() -> None:
    folder, kills, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    assert forked(folder / "whole") == 0
    chance = random.Random(seed)
    killed, rounds = 0, 0
    while killed < kills:
        rounds += 1
        target = folder / f"killed{rounds}"
        while killed < kills:
            code = forked(target, pause=0.03, moment=chance.uniform(0, 1.5))
            if code == 0:
                break
            assert code == -signal.SIGKILL, code
            killed += 1
        assert forked(target) == 0  # whatever was left, to its end; nothing more where it had ended
        whole, other = state(folder / "whole"), state(target)
        assert whole.keys() == other.keys()
        differing = [name for name in whole if whole[name] != other[name]]
        assert not differing, differing
        assert len(whole) > 20
    print(f"{killed} kills, {rounds} trainings: equal to the bit")


if __name__ == "__main__":
    np.seterr(all="raise")
    main()
