"""How fast step 1 trains with one worker and with two, and what the workers have to exchange.

    python -m benchmarks.distribution

Two workers have one core each; one worker has one core, then two. Each training step takes the same
batch of 32 patches, which is there already, so that only the step itself is timed. The parts take
turns. About three minutes on two cores, which must have nothing else to do.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import time
from typing import Any

from benchmarks import results

NAME = "distribution"
PATCHES, SIDE = 32, 112
WARM_UP, STEPS, ROUNDS = 3, 12, 3

#: The cores of each worker.
SETTINGS = {
    "one_worker_one_core": [[0]],
    "two_workers_one_core_each": [[0], [1]],
    "one_worker_two_cores": [[0, 1]],
}


def work(cores: list[int]) -> None:
    """Trains on some cores, as a worker if `TF_CONFIG` names it; prints seconds a step."""
    os.sched_setaffinity(0, cores)
    import keras
    import numpy as np
    import tensorflow as tf

    from diqa_utils.distribution import make_strategy
    from diqa_utils.models import build_error_map_model
    from diqa_utils.training import shared_train_step

    tf.config.threading.set_intra_op_parallelism_threads(len(cores))
    tf.config.threading.set_inter_op_parallelism_threads(len(cores))
    several = "TF_CONFIG" in os.environ
    strategy = make_strategy("workers") if several else tf.distribute.get_strategy()
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = build_error_map_model()
        optimizer = keras.optimizers.Nadam(1e-3)
        optimizer.build(model.trainable_variables)
    rng = np.random.default_rng(0)
    sides = (SIDE, SIDE // 4, SIDE // 4)
    batch = [tf.constant(rng.random((PATCHES, side, side, 1), np.float32)) for side in sides]

    @tf.function(autograph=False)
    def step(*batch: tf.Tensor) -> tf.Tensor:
        return shared_train_step(model, optimizer, batch)

    for _ in range(WARM_UP):
        float(step(*batch))
    start = time.perf_counter()
    for _ in range(STEPS):
        float(step(*batch))
    print(json.dumps((time.perf_counter() - start) / STEPS))


def seconds_per_step(setting: list[list[int]]) -> float:
    """Starts the workers of a setting and returns the seconds that the slowest takes for a step."""
    with socket.socket() as one, socket.socket() as other:
        for entry in (one, other):
            entry.bind(("127.0.0.1", 0))
        ports = [entry.getsockname()[1] for entry in (one, other)]
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    workers = []
    for index, cores in enumerate(setting):
        task = {"cluster": cluster, "task": {"type": "worker", "index": index}}
        several = {"TF_CONFIG": json.dumps(task)} if len(setting) > 1 else {}
        command = [sys.executable, "-m", "benchmarks.distribution", json.dumps(cores)]
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"} | several
        workers.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE))
    try:
        words = [worker.communicate(timeout=300)[0] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    return max(float(text.splitlines()[-1]) for text in words)


def gradient_bytes() -> int:
    """Returns the bytes of the gradients of a step, which are summed over all workers."""
    from diqa_utils.models import build_error_map_model

    return 4 * build_error_map_model().count_params()


def main() -> None:
    """Measures all settings by turns."""
    seconds: dict[str, list[float]] = {name: [] for name in SETTINGS}
    for _ in range(ROUNDS):
        for name, setting in SETTINGS.items():
            seconds[name].append(seconds_per_step(setting))
    measured: dict[str, Any] = {
        name: {
            "images_per_second": PATCHES / statistics.median(times),
            "seconds_per_step": {
                "median": statistics.median(times),
                "lowest": min(times),
                "highest": max(times),
            },
        }
        for name, times in seconds.items()
    }
    measured["batch"] = {"patches": PATCHES, "side": SIDE}
    measured["steps"] = STEPS
    measured["rounds"] = ROUNDS
    measured["gradient_bytes"] = gradient_bytes()
    results.write(NAME, measured)


if __name__ == "__main__":
    main() if len(sys.argv) == 1 else work(json.loads(sys.argv[1]))
