"""What each part of DIQA is worth on real ratings, and what its settings are, at a reduced scale.

    DIQA_DATA_DIR=FOLDER python -m benchmarks.ablations

`FOLDER/biq2021` holds BIQ2021 or a part of it, `FOLDER/pristine` pictures without visible faults.
DIQA as the paper has it is trained with one part left out at a time, with and without step 1 on
more and more rated pictures, and with another choice where the sources disagree. Every run has the
same number of steps, so that what differs is the part and not the time. Everything is small, so
that a run takes a minute or two on two cores: pictures at half their size, patches and crops of 96
pixels, 400 steps of step 1 and as many of step 2. So the numbers compare with each other and with
nothing else.

The runs stand in a queue. Each finished one leaves a file in the library's cache folder; started
again, the queue goes on with the next. `results/ablations.json` is written when all are done.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from tqdm.auto import tqdm

from benchmarks import real_data
from benchmarks.results import rounded, write
from diqa_utils import datasets
from diqa_utils._internal.files import cache_folder
from diqa_utils._internal.tensorflow import arithmetic, bfloat16_is_fast
from diqa_utils.losses import weighted_error_map_loss
from diqa_utils.maps import (
    DEFAULT_ALPHA,
    DEFAULT_EXPONENT,
    average_reliability_map,
    downscale,
    error_map,
    hand_crafted_features,
)
from diqa_utils.metrics import plcc, srcc
from diqa_utils.models import HIDDEN_L2, MIDDLE, build_error_map_model, build_score_model
from diqa_utils.preprocessing import normalize, to_gray
from diqa_utils.ratings.pretraining import (
    KADID_TYPES,
    damaged_pairs,
    patches_of_squares,
    pristine_pictures,
)
from diqa_utils.ratings.runs import deal_out
from diqa_utils.training import SMALLEST_VARIANCE

NAME = "ablations"
DIGITS = 4
SEEDS = (0, 1, 2)
SIZES = (250, 500, 1000, 2000, 4500)
RATED = 2000

SIDE, CROP = 256, 96
BATCH = 16
ERROR_MAP_STEPS, ERROR_MAP_RATE = 400, 1e-3
SCORE_STEPS, FEATURES_RATE, HEAD_RATE, WEIGHT_DECAY = 400, 3e-4, 1e-3, 0.02
BETA_2 = 0.99
KNOWN_TO_STANDARDIZE = 200


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


@dataclass(frozen=True)
class Job:
    """One run of the queue."""

    variant: str
    rated: int
    seed: int

    @property
    def name(self) -> str:
        """Of its file."""
        return f"{self.variant}-{self.rated}-{self.seed}"


def queue() -> list[Job]:
    """Returns all runs: seed after seed, so that a stopped queue has whole comparisons."""
    jobs = []
    for seed in SEEDS:
        jobs += [Job(name, RATED, seed) for name in ABLATIONS]
        jobs += [
            Job(name, rated, seed)
            for rated in SIZES
            if rated != RATED
            for name in ("whole", "without_error_maps")
        ]
    return jobs + [Job(name, RATED, seed) for seed in SEEDS for name in CHOICES]


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

    def inputs(self, variant: Variant) -> np.ndarray:
        """What f gets to see of every picture: (N, SIDE, SIDE, 1), float16.

        Made once, and not within the steps: those compute in bfloat16 where they can.
        """
        parts = np.array_split(self.gray, max(1, len(self.gray) // 100))
        made = (seen(tf.cast(some, tf.float32) / 255, variant) for some in parts)
        return np.concatenate([np.float16(some) for some in made])

    def extras(self, variant: Variant) -> np.ndarray:
        """What the head gets beside the features of f: (N, 2), zero where it is to get nothing."""
        if not variant.hand_crafted or variant.alpha == DEFAULT_ALPHA:
            return np.float32(self.hand_crafted * variant.hand_crafted)
        parts = np.array_split(self.gray, max(1, len(self.gray) // 100))
        return np.concatenate([hand_crafted_features(some, alpha=variant.alpha) for some in parts])


def rated_pictures(data: Path, folder: Path) -> Rated:
    """Reads the pictures of BIQ2021 that are 512 x 512, at half their size; kept in a file."""
    settings = {"manual_dir": data / "biq2021", "partial": True}
    file = folder / "pictures.npz"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        dataset: Any = datasets.load("biq2021", split="train", **settings)
        rows = [row for row in tqdm(halved(dataset), "reading", len(dataset)) if row is not None]
        gray, hand_crafted, quality, image_ids = zip(*rows, strict=True)
        np.savez(
            file.with_name("incomplete.npz"),
            gray=np.stack(gray),
            hand_crafted=np.stack(hand_crafted),
            quality=np.array(quality),
            image_ids=np.array(image_ids),
        )
        file.with_name("incomplete.npz").replace(file)
    with np.load(file) as kept:
        row_of = {name: row for row, name in enumerate(kept["image_ids"].tolist())}
        parts = deal_out(datasets.read_table("biq2021", split="train", **settings))
        training, validation = (
            np.array([row_of[name] for name in parts[part] if name in row_of])
            for part in ("train", "validation")
        )
        return Rated(kept["gray"], kept["hand_crafted"], kept["quality"], training, validation)


def halved(dataset: tf.data.Dataset) -> Iterator[tuple[Any, ...] | None]:
    """Yields each picture's grey levels at half size, its hand-crafted features and its rating."""

    def half(features: dict[str, tf.Tensor]) -> tuple[tf.Tensor, ...]:
        gray = to_gray(features["distorted_image"])[tf.newaxis]
        small = tf.nn.avg_pool2d(gray, 2, 2, padding="VALID")
        pixels = tf.cast(tf.round(small[0] * 255), tf.uint8)
        return pixels, hand_crafted_features(small)[0], features["quality"], features["image_id"]

    for pixels, *rest, name in dataset.map(half, tf.data.AUTOTUNE).as_numpy_iterator():
        whole = pixels.shape == (SIDE, SIDE, 1)
        yield (pixels, *rest, name.decode()) if whole else None


# --- The networks ---------------------------------------------------------------------------------


def shaved(maps: tf.Tensor, border: int) -> tf.Tensor:
    """Leaves out the cells at the edges of maps (N, h, w, C)."""
    return maps[:, border:-border, border:-border] if border else maps


def build_error_map_variant(variant: Variant) -> keras.Model:
    """Builds g(f(.)) with another kernel of g where the variant has one."""
    model = build_error_map_model()
    if variant.head_kernel == 1:
        return model
    head = layers.Conv2D(
        1,
        variant.head_kernel,
        padding="same",
        kernel_initializer="zeros",
        bias_initializer=MIDDLE,
        name="error_map",
    )
    extractor = model.get_layer("feature_extractor")
    return keras.Model(model.input, head(extractor(model.input)), name="error_map_model")


def build_score_variant(extractor: keras.Model, variant: Variant) -> keras.Model:
    """Builds h with the border and the hidden layers of a variant."""
    if (variant.border, variant.hidden_layers) == (0, 1):
        return build_score_model(extractor)
    normalized = keras.Input((None, None, 1), name="normalized")
    hand_crafted = keras.Input((2,), name="hand_crafted")
    maps = layers.Cropping2D(variant.border)(extractor(normalized))
    pooled = layers.GlobalAveragePooling2D()(maps)
    features = layers.Concatenate(name="features")([pooled, hand_crafted])
    hidden = layers.Normalization(name="standardized")(features)
    for _ in range(variant.hidden_layers):
        penalty = keras.regularizers.L2(HIDDEN_L2)
        hidden = layers.Dense(128, "relu", kernel_regularizer=penalty)(hidden)
    head = layers.Dense(1, kernel_initializer="zeros", bias_initializer=MIDDLE, name="score")
    inputs = {"normalized": normalized, "hand_crafted": hand_crafted}
    return keras.Model(inputs, head(hidden), name="score_model")


# --- The two steps --------------------------------------------------------------------------------


def learn_error_maps(variant: Variant, seed: int, pictures: list[np.ndarray]) -> keras.Model:
    """Step 1."""
    model = build_error_map_variant(variant)
    schedule = keras.optimizers.schedules.CosineDecay(ERROR_MAP_RATE, ERROR_MAP_STEPS, alpha=0.02)
    optimizer = keras.optimizers.Nadam(schedule, beta_2=BETA_2)
    optimizer.build(model.trainable_variables)

    @tf.function
    def step(normalized: tf.Tensor, target: tf.Tensor, reliability: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            maps = (target, model(normalized, training=True), reliability)
            loss = weighted_error_map_loss(*(shaved(values, variant.border) for values in maps))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))

    pairs = damaged_pairs(pictures, BATCH // 4, KADID_TYPES, seed=seed, first=0)
    batches = pairs.map(
        lambda pair: patches_of_squares(error_map_example(pair, variant), CROP),
        num_parallel_calls=2,
    )
    with arithmetic("auto"):
        for batch in batches.take(ERROR_MAP_STEPS).prefetch(4):
            step(*batch)
    return model


def learn_ratings(
    job: Job,
    extractor: keras.Model,
    rated: Rated,
    inputs: np.ndarray,
    extras: np.ndarray,
) -> keras.Model:
    """Step 2, on the first pictures of the training part."""
    variant = VARIANTS[job.variant]
    model = build_score_variant(extractor, variant)
    rows = rated.training[: job.rated]
    known = rows[:KNOWN_TO_STANDARDIZE]
    with arithmetic("auto"):
        standardize(model, inputs, extras, known)
    of_f = extractor.trainable_variables
    known = {id(one) for one in of_f}
    of_head = [one for one in model.trainable_variables if id(one) not in known]
    optimizers = []
    for rate, variables in ((FEATURES_RATE, of_f), (HEAD_RATE, of_head)):
        schedule = keras.optimizers.schedules.CosineDecay(
            rate / 20, SCORE_STEPS - 50, alpha=0.01, warmup_target=rate, warmup_steps=50
        )
        optimizers.append(
            keras.optimizers.AdamW(schedule, weight_decay=WEIGHT_DECAY, beta_2=BETA_2)
        )
        optimizers[-1].build(variables)

    @tf.function
    def step(crops: tf.Tensor, hand_crafted: tf.Tensor, quality: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            found = model({"normalized": crops, "hand_crafted": hand_crafted}, training=True)
            loss = tf.reduce_mean(tf.square(found[:, 0] - quality)) + sum(model.losses)
        gradients = tape.gradient(loss, [*of_f, *of_head])
        optimizers[0].apply_gradients(zip(gradients[: len(of_f)], of_f, strict=True))
        optimizers[1].apply_gradients(zip(gradients[len(of_f) :], of_head, strict=True))

    rng = np.random.default_rng(job.seed)
    with arithmetic("auto"):
        for chosen in drawn(rows, rng):
            top, left = rng.integers(SIDE - CROP + 1, size=2)
            crops = inputs[chosen, top : top + CROP, left : left + CROP].astype(np.float32)
            crops = crops[:, :, ::-1] if rng.random() < 0.5 else crops
            step(crops, extras[chosen], np.float32(rated.quality[chosen]))
    return model


def drawn(rows: np.ndarray, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Deals the rows out in batches, shuffled anew in each pass, for all steps."""
    order = np.concatenate(
        [rng.permutation(rows) for _ in range(SCORE_STEPS * BATCH // len(rows) + 1)]
    )
    for number in range(SCORE_STEPS):
        yield order[number * BATCH : (number + 1) * BATCH]


def standardize(
    model: keras.Model, inputs: np.ndarray, extras: np.ndarray, rows: np.ndarray
) -> None:
    features = keras.Model(model.input, model.get_layer("features").output)
    layer = model.get_layer("standardized")
    layer.adapt(predicted(features, inputs, extras, rows))
    layer.adapt_variance.assign(layer.adapt_variance + SMALLEST_VARIANCE)
    layer.finalize_state()


def predicted(
    model: keras.Model, inputs: np.ndarray, extras: np.ndarray, rows: np.ndarray
) -> np.ndarray:
    """What a model says of whole pictures, (n, K)."""
    predict = tf.function(
        lambda pictures, beside: model(
            {"normalized": pictures, "hand_crafted": beside}, training=False
        ),
        reduce_retracing=True,
    )
    return np.concatenate(
        [
            predict(inputs[some].astype(np.float32), extras[some]).numpy()
            for some in np.array_split(rows, max(1, len(rows) // 20))
        ]
    )


# --- The queue ------------------------------------------------------------------------------------


def measure(
    job: Job, rated: Rated, extractor_of: Callable[[Variant, int], keras.Model]
) -> dict[str, float]:
    """Does one run and measures it on the validation pictures."""
    variant = VARIANTS[job.variant]
    keras.utils.set_random_seed(job.seed)
    extractor = extractor_of(variant, job.seed)
    keras.utils.set_random_seed(job.seed)
    inputs, extras = rated.inputs(variant), rated.extras(variant)
    model = learn_ratings(job, extractor, rated, inputs, extras)
    with arithmetic("auto"):
        found = predicted(model, inputs, extras, rated.validation)[:, 0]
    quality = rated.quality[rated.validation]
    return {"srcc": srcc(found, quality), "plcc": plcc(found, quality)}


def extractors(folder: Path, pristine: list[np.ndarray]) -> Callable[[Variant, int], keras.Model]:
    """Returns what gives f after step 1, from a file where it has been done before."""

    def extractor_of(variant: Variant, seed: int) -> keras.Model:
        model = build_error_map_variant(variant)
        if not variant.pretraining:
            return model.get_layer("feature_extractor")
        name = "-".join(str(getattr(variant, setting)) for setting in STEP_1)
        file = folder / f"f-{name}-{seed}.weights.h5"
        if not file.exists():
            learn_error_maps(variant, seed, pristine).save_weights(file)
        model.load_weights(file)
        return model.get_layer("feature_extractor")

    return extractor_of


def collected(folder: Path) -> dict[str, Any]:
    """Puts the finished runs together: the values of all seeds, and their median."""
    found: dict[str, Any] = {}
    for job in queue():
        kept = json.loads((folder / f"{job.name}.json").read_text())
        place = found.setdefault(job.variant, {}).setdefault(str(job.rated), {})
        for metric, value in kept.items():
            place.setdefault(metric, {"values": []})["values"].append(value)
    for sizes in found.values():
        for metrics in sizes.values():
            for one in metrics.values():
                one["median"] = median(one["values"])
                one["low"], one["high"] = min(one["values"]), max(one["values"])
    return found


def main() -> None:
    data = real_data.folder()
    if data is None:
        print(f"{real_data.VARIABLE} names no folder: {NAME}.json stays as it is.")
        return
    folder = cache_folder() / "benchmarks" / NAME
    rated = rated_pictures(data, folder)
    extractor_of = extractors(folder, pristine_pictures(data / "pristine"))
    jobs = queue()
    for number, job in enumerate(jobs, start=1):
        file = folder / f"{job.name}.json"
        if not file.exists():
            result = measure(job, rated, extractor_of)
            incomplete = file.with_name(f"incomplete-{file.name}")
            incomplete.write_text(json.dumps(result))
            incomplete.replace(file)
            keras.backend.clear_session()
        print(f"{number}/{len(jobs)} {job.name}: {file.read_text()}", flush=True)
    results = {
        "bfloat16": bfloat16_is_fast(),
        "pictures": {"training": len(rated.training), "validation": len(rated.validation)},
        "steps": {"error_maps": ERROR_MAP_STEPS, "ratings": SCORE_STEPS},
        "variants": collected(folder),
    }
    write(NAME, rounded(results, DIGITS))


if __name__ == "__main__":
    main()
