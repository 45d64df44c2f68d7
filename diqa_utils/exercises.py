"""The answers to the book's exercises, which `diqa_utils.notebook.check` compares with a reader's.

They stand here and not in the chapters, so that a page does not give them away. Each is a function:
the one that the exercise asks for, with arguments to try it on, or one without arguments that
returns the value that it asks for.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm


@dataclass(frozen=True)
class Exercise:
    """What is right, and how it is found out whether an answer is.

    Attributes:
        solution: The function asked for, or, without trials, one that returns the value asked for.
        trials: Arguments of each trial of a function, a tuple each; none for a value.
        tolerance: Distance by which numbers may be off, relative for large ones and absolute for
            small ones.
    """

    solution: Callable[..., Any]
    trials: Sequence[tuple[Any, ...]] = ()
    tolerance: float = 1e-5


#: The exercises by their number, such as "3.1".
EXERCISES: dict[str, Exercise] = {}

Solution = Callable[..., Any]


def exercise(
    number: str, *trials: tuple[Any, ...], tolerance: float = 1e-5
) -> Callable[[Solution], Solution]:
    """Enters what an exercise asks for: a function with arguments of its trials, or a value."""

    def enter(solution: Solution) -> Solution:
        EXERCISES[number] = Exercise(solution, trials, tolerance)
        return solution

    return enter


# --- Chapter 1 ------------------------------------------------------------------------------------


@exercise("1.1", (1,), (3,), (5,), (2.5,))
def kadid_quality(dmos: float) -> float:
    return (dmos - 1) / 4


@exercise(
    "1.2",
    (
        ["china-3-jpeg-2", "coins-0-jpeg-1", "flower-1-jpeg-1"],
        ["flower-0-jpeg-2", "china-1-jpeg-5"],
    ),
    (["grace_hopper-0-white_noise-1"] * 2, ["coffee-0-jpeg-2", "grace_hopper-1-white_noise-1"]),
)
def shared_photographs(train_ids: list[str], test_ids: list[str]) -> list[str]:
    train, test = ({name.split("-")[0] for name in ids} for ids in (train_ids, test_ids))
    return sorted(train & test)


@exercise("1.3")
def sizes_of_batches() -> list[int]:
    return [8, 8, 8, 2]  # of 26 references, once each


@exercise(
    "1.4",
    (4, []),
    (6, [(0, 3), (3, 5), (1, 2)]),
    (7, [(5, 6), (2, 4), (6, 2), (3, 1), (4, 5)]),
)
def scene_keys(number: int, pairs: list[tuple[int, int]]) -> list[int]:
    keys = list(range(number))
    for first, second in pairs:
        low, high = sorted((keys[first], keys[second]))
        keys = [low if key == high else key for key in keys]
    return keys


# --- Chapter 2 ------------------------------------------------------------------------------------


@exercise("2.1", tolerance=1e-3)
def row_of_a_fair_peak() -> float:
    # 7.5 weights stand before the peak, and "SAME" puts 7 rows before the picture.
    return 32 - (7.5 - 7)


@exercise("2.2", (np.arange(8.0),), (np.array([0.0, 0, 0, 0, 16, 0, 0, 0, 0]),))
def reduce_line(line: np.ndarray) -> np.ndarray:
    weights = np.array([1, 4, 6, 4, 1]) / 16
    return np.convolve(np.pad(line, 2, mode="reflect"), weights, mode="valid")[::2]


@exercise("2.3", (5, 4), (3, 4), (7, 4), (30, 4), (2.9, 2))
def seen_period(period: float, step: float) -> float:
    waves = step / period
    return step / abs(waves - np.round(waves))


# --- Chapter 3 ------------------------------------------------------------------------------------


@exercise("3.1", tolerance=1e-3)
def exponent_for_a_tenth() -> float:
    return np.log(10) / np.log(255)


@exercise("3.2", (np.arange(96.0).reshape(8, 12, 1),), (np.eye(16)[..., None],))
def block_means(values: np.ndarray) -> np.ndarray:
    height, width, channels = values.shape
    return values.reshape(height // 4, 4, width // 4, 4, channels).mean(axis=(1, 3))


@exercise("3.3", (np.array([4, 0.25, 0]),), (np.array([-4, 0, 1e-4]),))
def slope_of_safe_root(x: np.ndarray) -> np.ndarray:
    size = np.abs(x)
    return np.sign(x) / (2 * np.sqrt(np.where(size > 0, size, 1)))


# --- Chapter 4 ------------------------------------------------------------------------------------


@exercise("4.1", tolerance=1e-3)
def slope_for_a_detail() -> float:
    return 2 * np.arctanh(1 / 2) / (8 / 255)


@exercise("4.2", (np.array([1.0, 3, 5, 5]).reshape(2, 1, 2, 1),))
def divide_by_mean(reliability: np.ndarray) -> np.ndarray:
    return reliability / reliability.mean(axis=(1, 2, 3), keepdims=True)


@exercise("4.3", (np.array([1.0, 3, 2, 2, 0, 1]).reshape(3, 1, 2, 1),))
def mean_of_squares(reliability: np.ndarray) -> np.ndarray:
    axes = (1, 2, 3)
    return 1 + (reliability.std(axis=axes) / reliability.mean(axis=axes)) ** 2


# --- Chapter 5 ------------------------------------------------------------------------------------


@exercise(
    "5.1",
    (
        np.array([0.5, 0.6, 0.2, 0.2]),
        np.array([0.4, 0.6, 0.4, 0.2]),
        np.array([1.5, 1.5, 0.5, 0.5]),
    ),
    (np.array([0.0, 1.0]), np.array([0.5, 0.5]), np.array([0.0, 2.0])),
)
def loss_of_a_map(y_true: np.ndarray, y_pred: np.ndarray, reliability: np.ndarray) -> float:
    return float(np.mean(((y_pred - y_true) * reliability) ** 2))


@exercise("5.2", tolerance=1e-3)
def learning_rate_of_one_step() -> float:
    return 0.3804  # 1 / (2 mean(r-hat ^ 2)) over the training part of sample_iqa


@exercise("5.3", tolerance=2e-4)
def loss_of_the_best_line() -> float:
    return 0.0089  # over the training part of sample_iqa


# --- Chapter 6 ------------------------------------------------------------------------------------


@exercise("6.1")
def weights_of_conv7() -> int:
    return (3 * 3 * 64 + 1) * 128


@exercise("6.2", (64,), (192,))
def share_inside(side: int) -> float:
    cells = np.arange(side // 4)
    inside = (4 * cells - 19 >= 0) & (4 * cells + 25 <= side - 1)
    return float(np.mean(inside) ** 2)


@exercise(
    "6.3",
    ([1, 2, 1, 2, 1, 1, 1, 1],),
    ([1, 1, 1],),
    ([2],),
    ([1, 2, 1, 2],),
    ([2, 2, 1, 1, 1, 1, 1, 1],),
)
def window(strides: list[int]) -> tuple[int, int]:
    first, last = 0, 0
    for stride in reversed(strides):
        before = 1 if stride == 1 else 0
        first = stride * first - before
        last = stride * last - before + 2
    return first, last


# --- Chapter 7 ------------------------------------------------------------------------------------


@exercise(
    "7.1",
    (np.array([[1.0, 10.0, 5.0], [3.0, 30.0, 5.0]]),) * 2,
    (np.array([[2.0, 40.0, 5.001]]), np.array([[1.0, 10.0, 5.0], [3.0, 30.0, 5.0]])),
    tolerance=1e-3,
)
def standardize(new: np.ndarray, known: np.ndarray) -> np.ndarray:
    return (new - known.mean(axis=0)) / np.sqrt(known.var(axis=0) + 1e-6)


@exercise("7.2", (np.full((4, 4), 1 / 16),), (np.array([[0.0, 0.5, 0.25], [0.75, 0.0, 0.5]]),))
def gathered(feature_map: np.ndarray) -> np.ndarray:
    gathered_map = np.zeros_like(feature_map)
    gathered_map[0, 0] = feature_map.sum()
    return gathered_map


@exercise("7.3", tolerance=0.02)
def order_by_context() -> list[float]:
    from diqa_utils import datasets
    from diqa_utils.maps import hand_crafted_features
    from diqa_utils.metrics import srcc

    pictures: Any = datasets.load("sample_iqa", split="test")
    test = list(pictures.as_numpy_iterator())
    images = np.stack([example["distorted_image"] for example in test])
    quality = np.array([example["quality"] for example in test])
    return [srcc(numbers, quality) for numbers in hand_crafted_features(images).numpy().T]


@exercise(
    "7.4",
    (np.array([[1.0], [2.0]]), np.array([3.0]), np.array([4.0, 5.0]), np.array([0.25, 4.0])),
    (
        np.array([[0.5, -1.0], [2.0, 0.0], [1.0, 3.0]]),
        np.array([0.1, -0.2]),
        np.array([1.0, -2.0, 0.5]),
        np.array([1.0, 0.01, 9.0]),
    ),
    tolerance=1e-3,
)
def folded(
    kernel: np.ndarray, bias: np.ndarray, means: np.ndarray, variances: np.ndarray
) -> np.ndarray:
    folded_kernel = kernel / np.sqrt(variances)[:, None]
    return np.vstack([folded_kernel, bias - means @ folded_kernel])


# --- Chapter 8 ------------------------------------------------------------------------------------


@exercise("8.1")
def srcc_by_hand() -> float:
    return 1 - 6 * 4 * 1**2 / (4 * (4**2 - 1))


@exercise("8.2", (np.array([3, 1, 2]),), (np.array([30, 10, 30, 70]),), (np.array([5, 5, 5, 1]),))
def mean_ranks(values: np.ndarray) -> np.ndarray:
    smaller = (values[None, :] < values[:, None]).sum(axis=1)
    equal = (values[None, :] == values[:, None]).sum(axis=1)
    return smaller + (equal + 1) / 2


def _two_predictors(seed: int) -> tuple[np.ndarray, ...]:
    """Two predictions of quality, the quality, and the references of 15 pictures, and draws."""
    rng = np.random.default_rng(seed)
    quality = rng.uniform(0, 1, 15)
    first, second = quality + rng.normal(0, 0.3, (2, 15))
    draws = rng.choice(["a", "b", "c", "d", "e"], (9, 5))
    return first, second, quality, np.repeat(["a", "b", "c", "d", "e"], 3), draws


@exercise("8.3", _two_predictors(0), _two_predictors(1))
def share_better(
    first: np.ndarray,
    second: np.ndarray,
    quality: np.ndarray,
    clusters: np.ndarray,
    draws: np.ndarray,
) -> float:
    from diqa_utils.metrics import srcc

    ahead = []
    for names in draws:
        rows = np.concatenate([np.flatnonzero(clusters == name) for name in names])
        ahead.append(srcc(first[rows], quality[rows]) > srcc(second[rows], quality[rows]))
    return float(np.mean(ahead))


# --- Chapter 9 ------------------------------------------------------------------------------------


@exercise(
    "9.1",
    ([9, 5, 2], [0.9, 0.85, 0.4], 0.1),
    ([4, 3, 6], [0.8, 0.9, 0.75], 0.02),
    ([5, 2, 1], [0.7, 0.3, 0.2], 0.1),
)
def smallest_good(sizes: Sequence[int], scores: Sequence[float], loss: float) -> int:
    good = [number for number, score in enumerate(scores) if score >= scores[0] - loss]
    return min(good, key=lambda number: sizes[number])


@exercise(
    "9.2",
    (np.arange(7 * 11 * 3, dtype=np.uint8).reshape(7, 11, 3), 3),
    (np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3), 4),
)
def tiles(picture: np.ndarray, side: int) -> np.ndarray:
    rows, columns = picture.shape[0] // side, picture.shape[1] // side
    whole = picture[: rows * side, : columns * side]
    blocks = whole.reshape(rows, side, columns, side, 3).swapaxes(1, 2)
    return blocks.reshape(rows * columns, side, side, 3)


@exercise("9.3", (1,), (0.5,), (0.25,), tolerance=2e-3)
def fall_by_noise(share: float) -> float:
    from PIL import Image
    from skimage.data import stereo_motorcycle

    from diqa_utils.distortions import distort
    from diqa_utils.inference import load_pretrained

    photograph = stereo_motorcycle()[0]
    height, width = (round(share * side) for side in photograph.shape[:2])
    clean, noisy = (
        load_pretrained("diqa").score(
            Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS)
        )
        for picture in (photograph, distort(photograph, "white_noise", 4, seed=0))
    )
    return clean - noisy


# --- Chapter 10 -----------------------------------------------------------------------------------


@exercise("10.1", (256, 256), (512, 512), (300, 400))
def examples_of_a_picture(height: int, width: int) -> int:
    return (height - 255) * (width - 255) * 2 * 34 * 5


def _all_levels(brightest: int) -> np.ndarray:
    """Returns a picture (64, 64, 3) of all levels up to the brightest, uint8."""
    levels = np.linspace(0, brightest, 64 * 64 * 3).reshape(64, 64, 3)
    return levels.astype(np.uint8)


@exercise("10.2", (_all_levels(127),), (_all_levels(200),), (_all_levels(255),))
def brighter_without_a_trace(image: np.ndarray) -> np.ndarray:
    return image + (255 - np.max(image))


@exercise(
    "10.3",
    ([np.array([0.4, 0.5, 0.6]), np.array([0.1, 0.2, 0.3, 0.2])],),
    ([np.array([0.3, 0.5]), np.array([0.4]), np.array([0.2, 0.6, 0.7, 0.5])],),
)
def told_the_family(families: list[np.ndarray]) -> float:
    def squares(values: np.ndarray) -> float:
        return float(np.sum((values - np.mean(values)) ** 2))

    return sum(squares(values) for values in families) / squares(np.concatenate(families))


# --- Chapter 11 -----------------------------------------------------------------------------------


@exercise(
    "11.1",
    (np.full(4, 0.5), np.array([0.25, 0.5, 0.75, 1]), np.array([0.25, 0.1, 0.2, 0.4])),
    (np.array([0.5]), np.array([0.5]), np.array([0.1])),
)
def coverage(scores: np.ndarray, ratings: np.ndarray, half_widths: np.ndarray) -> float:
    return np.mean(np.abs(scores - ratings) <= half_widths)


@exercise("11.2", (0.9,), (0.5,), (0.95,), (0.8,))
def fewest(confidence: float) -> int:
    number = 1
    while np.ceil((number + 1) * confidence) > number:
        number += 1
    return number


@exercise("11.3", (0.1, 0.125, 0.0), (0.1, 0.125, 0.9), (0.0, 0.2, 0.5), (0.05, 0.2, 0.75))
def chance(gap: float, deviation: float, shared: float) -> float:
    return norm.cdf(gap / (deviation * np.sqrt(2 * (1 - shared))))


# --- Chapter 12 -----------------------------------------------------------------------------------


@exercise(
    "12.1",
    (np.array([1.0, 0.5, 0.0]), 0.2),
    (np.array([0.5, 0.5, 0.3]), 0.4),
    (np.array([0.0, 0.5, 0.0]), 0.0),
)
def penalty(opinions: np.ndarray, margin: float) -> float:
    return np.mean(np.maximum(0, np.diff(opinions) + margin) ** 2)


@exercise(
    "12.2",
    (np.array([0.2, 0.3]), np.array([0.7, 0.8]), 0.35),
    (np.array([0.9, 0.7]), np.array([0.1, 0.2]), 0.35),
    (np.array([0.2, 0.6]), np.array([0.8, 0.3]), 0.25),
    (np.array([0.2, 0.3]), np.array([0.7, 0.5]), 0.35),
    (np.array([0.5, 0.6]), np.array([0.5, 0.2]), 0.35),
)
def which_is_worse(first: np.ndarray, second: np.ndarray, gap: float) -> int:
    if np.min(second - first) > gap:
        return 1
    return 2 if np.min(first - second) > gap else 0


@exercise(
    "12.3",
    (
        np.array([0.8, 0.7, 0.75, 0.2]),
        np.array([0.65, 0.55, 0.6, 0.0]),
        np.array([0.95, 0.85, 0.9, 0.5]),
    ),
    (np.array([0.9, 0.5, 0.4]), np.array([0.8, 0.45, 0.3]), np.array([1.0, 0.55, 0.5])),
    (np.array([0.5, 0.6, 0.7]), np.array([0.4, 0.5, 0.6]), np.array([0.6, 0.7, 0.8])),
)
def overlapping_in_order(quality: np.ndarray, low: np.ndarray, high: np.ndarray) -> list[int]:
    better, worse = np.triu_indices(len(quality), 1)
    overlap = (low[better] <= high[worse]) & (low[worse] <= high[better])
    return [overlap.sum(), (overlap & (quality[better] > quality[worse])).sum()]


# --- Chapter 13 -----------------------------------------------------------------------------------


@exercise(
    "13.1",
    ([0.53, 0.55, 0.56], [0.51, 0.54, 0.53]),
    ([0.50, 0.52, 0.51], [0.51, 0.51, 0.51]),
)
def paired(whole: Sequence[float], without: Sequence[float]) -> tuple[Any, ...]:
    differences = np.subtract(whole, without)
    return np.mean(differences), np.min(differences), np.max(differences)


@exercise("13.2", (22, 22, 112), (5, 6, 48), (0, 1, 64), (9, 40, 272))
def cells_at_the_edge(before: int, after: int, side: int) -> tuple[Any, ...]:
    cells = np.arange(side // 4)
    return np.sum(4 * cells < before), np.sum(4 * cells + after >= side)


@exercise("13.3", (3, 1), (3, 10), (5, 10), (1, 4))
def by_luck(seeds: int, changes: int) -> float:
    return 1 - (1 - 2 * 0.5**seeds) ** changes


# --- Chapter 14 -----------------------------------------------------------------------------------


@exercise("14.1", ([2.0, 6.0, 4.0], [1.0, 2.0, 4.0]), ([9.0, 3.0, 1.0], [3.0, 1.0, 1.0]))
def times_as_fast(slow: Sequence[float], fast: Sequence[float]) -> float:
    return np.median(np.divide(slow, fast))


@exercise("14.2", (3,), (5,), (7,), (16,))
def growth(kernel: int) -> float:
    channels = [1, 48, 48, 64, 64, 64, 64, 128, 128]
    places = [16, 4, 4, 1, 1, 1, 1, 1]  # of each convolution, in cells of the map
    costs = [9 * n * a * b for n, a, b in zip(places, channels, channels[1:], strict=False)]
    step = 3 * (sum(costs) + channels[-1]) - costs[0]
    return 1 + 2 * costs[0] * (kernel**2 / 9 - 1) / step


# --- Chapter 15 -----------------------------------------------------------------------------------


@exercise("15.1", (255,), (256,), (100,), (3,))
def levels_that_differ(divisor: int) -> int:
    levels = np.arange(256, dtype=np.float32)
    reciprocal = np.float32(1) / np.float32(divisor)
    return np.sum(levels / np.float32(divisor) != levels * reciprocal)


@exercise(
    "15.2",
    (np.array([[0.1, 8.0], [-0.3, 2.2], [0.2, -7.0]]), 4),
    (np.random.default_rng(0).normal(size=(5, 3)) * [1, 10, 0.01], 8),
)
def whole_numbers_by_column(weights: np.ndarray, bits: int) -> np.ndarray:
    step = np.abs(weights).max(axis=0) / (2 ** (bits - 1) - 1)
    return np.round(weights / step) * step


@exercise(
    "15.3",
    (np.array([4, 2]), np.array([1.0, 4.0]), np.array([0.5, 0.0])),
    (np.array([9, 1, 30]), np.array([0.0, 1.0, -2.0]), np.array([1.0, 0.0, 3.0])),
    (np.array([1000, 1000]), np.array([1e9, 1e9 + 2]), np.array([1.0, 1.0])),
)
def joined(
    counts: np.ndarray, means: np.ndarray, variances: np.ndarray
) -> tuple[np.floating, np.floating]:
    mean = np.average(means, weights=counts)
    return mean, np.average(variances + (means - mean) ** 2, weights=counts)


# --- Chapter 16 -----------------------------------------------------------------------------------


@exercise("16.1", (0.05, 0.95), (0.01, 0.95), (0.05, 0.5), (0.25, 0.75))
def trials_needed(share: float, certainty: float) -> int:
    return np.ceil(np.log(1 - certainty) / np.log(1 - share))


@exercise(
    "16.2",
    ([0.60, 0.66, 0.63, 0.70, 0.66], [0.61, 0.65, 0.67, 0.64, 0.66]),
    ([0.30, 0.20, 0.10], [0.1, 0.2, 0.3]),
    ([-0.2, 0.1, 0.4, 0.3], [0.0, -0.3, 0.2, 0.5]),
)
def of_the_best_so_far(validation: Sequence[float], held_out: Sequence[float]) -> list[float]:
    return [held_out[int(np.argmax(validation[: n + 1]))] for n in range(len(validation))]


@exercise("16.3", (1, 0.05), (2, 1.0), (20, 0.05), (60, 0.1), tolerance=0.015)
def too_good(trials: int, deviation: float) -> float:
    # The chance that the best of them lies below x is that of one, to the power of their number.
    x = np.linspace(-10, 10, 20_001)
    return deviation * np.sum(x[1:] * np.diff(norm.cdf(x) ** trials))


# --- Chapter 17 -----------------------------------------------------------------------------------


@exercise(
    "17.1",
    (np.array([[1.0, 2.0], [4.0, -1.0]]), [4, 3]),
    (np.random.default_rng(0).normal(size=(3, 5)), [1, 9, 2]),
)
def whole_gradient(gradients: np.ndarray, counts: Sequence[int]) -> np.ndarray:
    return np.average(gradients, axis=0, weights=counts)


@exercise(
    "17.2", (10, 90, 20), (10, 91, 20), (5, 100, 4), (5, 100, 5), (0, 60, 7), (4, 1, 100), (3, 8, 5)
)
def fewest_workers(start: float, work: float, limit: float) -> int:
    return int(np.ceil(work / (limit - start))) if limit > start else 0


@exercise(
    "17.3",
    (np.array([[[1.0], [2.0]], [[10.0], [20.0]]]),),
    (np.arange(27.0).reshape(3, 3, 3),),
    (np.random.default_rng(0).normal(size=(5, 5, 2)),),
)
def after_one_trip(pieces: np.ndarray) -> np.ndarray:
    held, n = pieces.copy(), len(pieces)
    for shift in range(n - 1):
        for worker in range(n):
            piece = (worker - shift) % n
            held[(worker + 1) % n, piece] += held[worker, piece]
    return held
