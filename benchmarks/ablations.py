"""What each part of DIQA is worth on real ratings, and what its settings are, at a reduced scale.

    DIQA_DATA_DIR=FOLDER python -m benchmarks.ablations

`FOLDER/biq2021` holds BIQ2021 or a part of it, `FOLDER/pristine` pictures without visible faults.
DIQA as the paper has it is trained with one part left out at a time, with and without step 1 on
more and more rated pictures, and with another choice where the sources disagree. Every run has the
same number of steps, so that what differs is the part and not the time. Everything is small, so
that a run takes a few minutes on two cores: pictures at half their size, patches and crops of 96
pixels, 400 steps of step 1 and as many of step 2. So the numbers compare with each other and with
nothing else.

The runs stand in a queue. Each finished one leaves a file in the library's cache folder; started
again, the queue goes on with the next.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks import real_data, results
from diqa_utils import datasets
from diqa_utils._internal.files import cache_folder, write_atomically
from diqa_utils.maps import (
    DEFAULT_ALPHA,
    DEFAULT_EXPONENT,
    average_reliability_map,
    downscale,
    error_map,
    hand_crafted_features,
)
from diqa_utils.metrics import plcc, srcc
from diqa_utils.models import HIDDEN_L2, HIDDEN_UNITS, MIDDLE, build_feature_extractor
from diqa_utils.preprocessing import normalize, to_gray
from diqa_utils.ratings.pretraining import damaged_pairs, patches_of_squares, pristine_pictures
from diqa_utils.ratings.runs import deal_out
from diqa_utils.training import standardize_features, train_step

NAME = "ablations"
SEEDS = (0, 1, 2)
SIZES = (250, 500, 1000, 2000, 4500)
RATED = 2000

SIDE, CROP = 256, 96
BATCH = 16
ERROR_MAP_STEPS, ERROR_MAP_RATE = 400, 1e-3
SCORE_STEPS, FEATURES_RATE, HEAD_RATE, WEIGHT_DECAY = 400, 3e-4, 1e-3, 0.02
WARM_UP = 50
BETA_2 = 0.99

#: Enough pictures to know the mean and variance of each pooled feature.
PICTURES_TO_STANDARDIZE = 200


@dataclass(frozen=True)
class Variant:
    """DIQA, whole or with something left out."""

    pretraining: bool = True
    reliability: bool = True
    normalization: bool = True
    hand_crafted: bool = True
    exponent: float = DEFAULT_EXPONENT
    alpha: float = DEFAULT_ALPHA
    head_kernel: int = 1
    border: int = 0
    hidden_layers: int = 1


#: What step 1 depends on.
STEP_1 = ("reliability", "normalization", "exponent", "alpha", "head_kernel", "border")

ABLATIONS = {
    "whole": Variant(),
    "without_error_maps": Variant(pretraining=False),
    "without_reliability": Variant(reliability=False),
    "without_normalization": Variant(normalization=False),
    "without_hand_crafted": Variant(hand_crafted=False),
    "plain_difference": Variant(exponent=1.0),
}

#: Where the sources disagree or say nothing: one other choice at a time.
CHOICES = {
    "alpha_1": Variant(alpha=1.0),
    "alpha_51": Variant(alpha=51.0),
    "head_kernel_3": Variant(head_kernel=3),
    "border_4": Variant(border=4),
    "hidden_layers_0": Variant(hidden_layers=0),
    "hidden_layers_2": Variant(hidden_layers=2),
}

VARIANTS = ABLATIONS | CHOICES

#: What the book's figures call the variants, in their order.
TITLES = {
    "parts": [
        ("whole", "whole"),
        ("without_error_maps", "without error maps"),
        ("without_reliability", "without reliability"),
        ("without_normalization", "without normalisation"),
        ("without_hand_crafted", "without the two numbers"),
        ("plain_difference", "plain difference, p = 1"),
    ],
    "choices": [
        ("whole", "as by default"),
        ("alpha_1", "a slope of 1, not 255"),
        ("alpha_51", "a slope of 51, not 255"),
        ("head_kernel_3", "g: a kernel of 3, not 1"),
        ("border_4", "a border of 4 cells, not 0"),
        ("hidden_layers_0", "h: no hidden layer, not 1"),
        ("hidden_layers_2", "h: 2 hidden layers, not 1"),
    ],
}


def queue() -> list[tuple[str, int, int]]:
    """Returns all runs, as variant, rated pictures and seed.

    Seed after seed, so that a stopped queue has whole comparisons.
    """
    runs = []
    for seed in SEEDS:
        runs += [(name, RATED, seed) for name in ABLATIONS]
        runs += [
            (name, rated, seed)
            for rated in SIZES
            if rated != RATED
            for name in ("whole", "without_error_maps")
        ]
    return runs + [(name, RATED, seed) for seed in SEEDS for name in CHOICES]


# --- What the network sees ------------------------------------------------------------------------


def seen(gray: tf.Tensor, variant: Variant) -> tf.Tensor:
    """The input of f: the normalised picture, or grey levels less their middle."""
    return normalize(gray) if variant.normalization else gray - 0.5


def error_map_example(pairs: tf.Tensor, variant: Variant) -> tuple[tf.Tensor, ...]:
    """Input, target and weights of step 1."""
    reference, distorted = (seen(to_gray(pairs[:, place]), variant) for place in (0, 1))
    target = downscale(error_map(reference, distorted, exponent=variant.exponent))
    normalized = normalize(to_gray(pairs[:, 1]))
    weights = downscale(average_reliability_map(normalized, alpha=variant.alpha))
    return distorted, target, weights if variant.reliability else tf.ones_like(weights)


@dataclass(frozen=True)
class Rated:
    """Rated pictures at half their size."""

    gray: np.ndarray  # (N, SIDE, SIDE, 1), uint8
    hand_crafted: np.ndarray  # (N, 2), with the default alpha
    quality: np.ndarray  # (N,)
    training: np.ndarray  # rows, in the order of `deal_out`
    validation: np.ndarray

    def inputs(self, variant: Variant) -> dict[str, np.ndarray]:
        """What a variant's score model gets of every picture."""
        parts = np.array_split(np.arange(len(self.gray)), max(1, len(self.gray) // 100))
        grays = (np.float32(self.gray[rows] / 255) for rows in parts)
        normalized = np.concatenate([np.float16(seen(gray, variant)) for gray in grays])
        hand_crafted = self.hand_crafted * np.float32(variant.hand_crafted)
        if variant.alpha != DEFAULT_ALPHA:
            grays = (self.gray[rows] for rows in parts)
            features = (hand_crafted_features(gray, alpha=variant.alpha) for gray in grays)
            hand_crafted = np.concatenate([*features])
        return {"normalized": normalized, "hand_crafted": hand_crafted}


def rated_pictures(folder: Path) -> Rated:
    """Reads the pictures of BIQ2021 that are 512 x 512, at half their size."""
    settings: dict[str, Any] = {"split": "train", "manual_dir": folder, "partial": True}

    def is_whole(picture: dict[str, tf.Tensor]) -> tf.Tensor:
        return tf.reduce_all(tf.shape(picture["distorted_image"])[:2] == 2 * SIDE)

    def half(picture: dict[str, tf.Tensor]) -> tuple[tf.Tensor, ...]:
        gray = to_gray(picture["distorted_image"])[tf.newaxis]
        small = tf.nn.avg_pool2d(gray, 2, 2, padding="VALID")
        pixels = tf.ensure_shape(tf.cast(tf.round(small[0] * 255), tf.uint8), (SIDE, SIDE, 1))
        return pixels, hand_crafted_features(small)[0], picture["quality"], picture["image_id"]

    halved = datasets.load("biq2021", **settings).filter(is_whole).map(half, tf.data.AUTOTUNE)
    columns = zip(*halved.batch(100).as_numpy_iterator(), strict=True)
    *arrays, image_ids = (np.concatenate(column) for column in columns)
    row_of = {name.decode(): row for row, name in enumerate(image_ids)}
    dealt = deal_out(datasets.read_table("biq2021", **settings))
    rows = (
        np.array([row_of[name] for name in dealt[part] if name in row_of])
        for part in ("train", "validation")
    )
    return Rated(*arrays, *rows)


# --- The networks ---------------------------------------------------------------------------------


def build_error_map_variant(variant: Variant) -> keras.Model:
    """Builds g(f(.)) with the kernel of g of a variant, and its border shaved off."""
    normalized = keras.Input((None, None, 1), name="normalized")
    features = build_feature_extractor()(normalized)
    start = {"kernel_initializer": "zeros", "bias_initializer": MIDDLE}
    head = layers.Conv2D(1, variant.head_kernel, padding="same", **start)
    return keras.Model(normalized, layers.Cropping2D(variant.border)(head(features)))


def build_score_variant(extractor: keras.Model, variant: Variant) -> keras.Model:
    """Builds h with the border and the hidden layers of a variant."""
    normalized = keras.Input((None, None, 1), name="normalized")
    hand_crafted = keras.Input((2,), name="hand_crafted")
    maps = layers.Cropping2D(variant.border)(extractor(normalized))
    pooled = layers.GlobalAveragePooling2D()(maps)
    features = layers.Concatenate(name="features")([pooled, hand_crafted])
    hidden = layers.Normalization(name="standardized")(features)
    for _ in range(variant.hidden_layers):
        penalty = keras.regularizers.L2(HIDDEN_L2)
        hidden = layers.Dense(HIDDEN_UNITS, "relu", kernel_regularizer=penalty)(hidden)
    head = layers.Dense(1, kernel_initializer="zeros", bias_initializer=MIDDLE)
    return keras.Model({"normalized": normalized, "hand_crafted": hand_crafted}, head(hidden))


# --- The two steps --------------------------------------------------------------------------------


def learn_error_maps(model: keras.Model, variant: Variant, seed: int, pictures: list) -> None:
    """Step 1."""
    schedule = keras.optimizers.schedules.CosineDecay(ERROR_MAP_RATE, ERROR_MAP_STEPS, alpha=0.02)
    optimizer = keras.optimizers.Nadam(schedule, beta_2=BETA_2)
    optimizer.build(model.trainable_variables)
    step = tf.function(lambda *batch: train_step(model, optimizer, batch))
    shaved = layers.Cropping2D(variant.border)
    pairs = damaged_pairs(pictures, BATCH // 4, real_data.KADID_TYPES, seed=seed, first=0)
    batches = pairs.map(
        lambda pair: patches_of_squares(error_map_example(pair, variant), CROP),
        num_parallel_calls=2,
    )
    for normalized, target, reliability in batches.take(ERROR_MAP_STEPS).prefetch(4):
        step(normalized, shaved(target), shaved(reliability))


def extractor_after_step_1(
    variant: Variant, seed: int, pristine: list, folder: Path
) -> keras.Model:
    """Returns f, from a file where step 1 has been done with the same settings."""
    model = build_error_map_variant(variant)
    if variant.pretraining:
        settings = "-".join(str(getattr(variant, setting)) for setting in STEP_1)
        file = folder / f"f-{settings}-{seed}.weights.h5"
        if not file.exists():
            learn_error_maps(model, variant, seed, pristine)
            write_atomically(file, model.save_weights)
        model.load_weights(file)
    return model.get_layer("feature_extractor")


def learn_ratings(
    model: keras.Model,
    extractor: keras.Model,
    inputs: dict[str, np.ndarray],
    quality: np.ndarray,
    rows: np.ndarray,
    seed: int,
) -> None:
    """Step 2, on some of the pictures."""
    features = keras.Model(model.input, model.get_layer("features").output)
    standardize_features(model, predicted(features, inputs, rows[:PICTURES_TO_STANDARDIZE]))
    ours = {id(weights) for weights in extractor.trainable_variables}
    of_head = [weights for weights in model.trainable_variables if id(weights) not in ours]
    parts = []
    for rate, weights in ((FEATURES_RATE, extractor.trainable_variables), (HEAD_RATE, of_head)):
        schedule = keras.optimizers.schedules.CosineDecay(
            rate / 20,
            SCORE_STEPS - WARM_UP,
            alpha=0.01,
            warmup_target=rate,
            warmup_steps=WARM_UP,
        )
        optimizer = keras.optimizers.AdamW(schedule, weight_decay=WEIGHT_DECAY, beta_2=BETA_2)
        optimizer.build(weights)
        parts.append((optimizer, weights))

    @tf.function
    def step(crops: tf.Tensor, hand_crafted: tf.Tensor, opinion: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            scores = model({"normalized": crops, "hand_crafted": hand_crafted}, training=True)
            loss = tf.reduce_mean(tf.square(scores[:, 0] - opinion)) + sum(model.losses)
        gradients = tape.gradient(loss, [weights for _, weights in parts])
        for (optimizer, weights), of_part in zip(parts, gradients, strict=True):
            optimizer.apply_gradients(zip(of_part, weights, strict=True))

    rng = np.random.default_rng(seed)
    for chosen in drawn(rows, rng):
        top, left = rng.integers(SIDE - CROP + 1, size=2)
        crops = inputs["normalized"][chosen, top : top + CROP, left : left + CROP]
        crops = crops[:, :, ::-1] if rng.random() < 0.5 else crops
        batch = crops, inputs["hand_crafted"][chosen], quality[chosen]
        step(*(part.astype(np.float32) for part in batch))


def drawn(rows: np.ndarray, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Deals the rows out in batches, shuffled anew in each pass, for all steps."""
    passes = SCORE_STEPS * BATCH // len(rows) + 1
    order = np.concatenate([rng.permutation(rows) for _ in range(passes)])
    yield from order[: SCORE_STEPS * BATCH].reshape(SCORE_STEPS, BATCH)


def predicted(model: keras.Model, inputs: dict[str, np.ndarray], rows: np.ndarray) -> np.ndarray:
    """What a model says of whole pictures, (n, K)."""
    chosen = {name: np.float32(values[rows]) for name, values in inputs.items()}
    return model.predict(chosen, batch_size=20, verbose=0)


# --- The queue ------------------------------------------------------------------------------------


def measure(
    name: str, number: int, seed: int, rated: Rated, pristine: list, folder: Path
) -> dict[str, float]:
    """Does one run and measures it on the validation pictures."""
    variant = VARIANTS[name]
    keras.utils.set_random_seed(seed)
    extractor = extractor_after_step_1(variant, seed, pristine, folder)
    keras.utils.set_random_seed(seed)
    model = build_score_variant(extractor, variant)
    inputs = rated.inputs(variant)
    learn_ratings(model, extractor, inputs, rated.quality, rated.training[:number], seed)
    scores = predicted(model, inputs, rated.validation)[:, 0]
    quality = rated.quality[rated.validation]
    return {"srcc": srcc(scores, quality), "plcc": plcc(scores, quality)}


def summary(values: list[float]) -> dict[str, Any]:
    """Puts a metric of several seeds together."""
    return {"values": values, "median": median(values), "low": min(values), "high": max(values)}


def collected(measured: dict[tuple[str, int, int], dict[str, float]]) -> dict[str, Any]:
    """Puts the finished runs together, by variant, rated pictures and metric."""
    variants: dict[str, Any] = {}
    for name, number, _ in measured:
        runs = [measured[name, number, seed] for seed in SEEDS]
        variants.setdefault(name, {})[str(number)] = {
            metric: summary([run[metric] for run in runs]) for metric in runs[0]
        }
    return variants


def main() -> None:
    data = real_data.needed()
    folder = cache_folder() / "benchmarks" / NAME
    folder.mkdir(parents=True, exist_ok=True)
    rated = rated_pictures(data / "biq2021")
    pristine = pristine_pictures(data / "pristine")
    measured = {}
    for run in queue():
        file = folder / f"{'-'.join(map(str, run))}.json"
        if not file.exists():
            text = json.dumps(measure(*run, rated, pristine, folder))
            write_atomically(file, lambda path, text=text: Path(path).write_text(text))
            keras.backend.clear_session()
        measured[run] = json.loads(file.read_text())
        print(f"{len(measured)}/{len(queue())} {file.stem}: {measured[run]}", flush=True)
    pictures = {"training": len(rated.training), "validation": len(rated.validation)}
    results.write(
        NAME,
        {
            "pictures": pictures,
            "steps": {"error_maps": ERROR_MAP_STEPS, "ratings": SCORE_STEPS},
            "titles": TITLES,
            "variants": collected(measured),
        },
    )


if __name__ == "__main__":
    main()
