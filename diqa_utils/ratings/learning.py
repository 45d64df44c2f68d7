"""How the two predictors learn ratings: step 2 of a training run.

Each class holds what a run asks for: the model that is trained, its optimizers, the batches of an
epoch, what is done with a batch, and the validation that chooses the best epoch.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from diqa_utils._internal.tensorflow import as_it_is, compiled, untuned
from diqa_utils.distribution import on_all_devices
from diqa_utils.extended import build_extended_score_model, opinions_of
from diqa_utils.models import MeanAndDeviation, build_score_model
from diqa_utils.ratings.copies import WorseCopies, clear_pairs
from diqa_utils.ratings.pictures import RatedPictures
from diqa_utils.ratings.recipe import RatingsRecipe
from diqa_utils.training import History, standardize_features

#: The standard deviation of ranks that are spread evenly over 0..1.
RANK_DEVIATION = 12**-0.5

#: How much the networks are to care about their expected errors, against their opinions.
ERROR_WEIGHT = 0.5

#: Enough pictures to know the mean and variance of each pooled feature.
PICTURES_TO_STANDARDIZE = 400


@dataclass(frozen=True)
class TrainedPredictor:
    """What a run leaves: two models, and what they were made by.

    Attributes:
        recipe: All settings of the run.
        score_model: Trained model of `build_extended_score_model` or `build_score_model`.
        error_map_model: Model of `build_error_map_model` after step 1.
        history: `loss` and `validation_loss` of step 2, a number per epoch.
    """

    recipe: RatingsRecipe
    score_model: keras.Model
    error_map_model: keras.Model
    history: History

    def predict(self, pictures: RatedPictures, rows: Any = None) -> np.ndarray:
        """Predicts the quality of prepared pictures, each as a whole, and how far off that may be.

        Args:
            pictures: Pictures that were prepared for the same predictor.
            rows: Rows of those to score, (n,); all if None.

        Returns:
            float32 (n, 2): the quality, 0..1, and the expected error; that of DIQA is always one.
        """
        chosen = np.arange(len(pictures)) if rows is None else np.asarray(rows)
        if self.recipe.predictor == "extended":
            quality, error = self.score_model.predict(pictures.extras[chosen], verbose=0).T
        else:
            quality = _answers(_compiled_model(self.score_model), pictures, chosen)[:, 0]
            error = np.ones_like(quality)
        return np.stack([np.clip(quality, 0, 1), error], axis=-1)


class StatisticsTraining:
    """Step 2 of the extended predictor: from ratings alone, or from ratings, copies and a teacher.

    Networks that learn ratings and the order of copies at once agree less with people. So a first
    set of networks learns the ratings alone. The second learns the order of copies too, and to say
    what the first one says: of mixtures of two rated pictures, of which there is no end.

    References:
        Hinton, Vinyals, Dean: Distilling the Knowledge in a Neural Network. 2015.
            https://arxiv.org/abs/1503.02531
        Zhang, Cisse, Dauphin, Lopez-Paz: mixup: Beyond Empirical Risk Minimization. ICLR 2018.
            https://arxiv.org/abs/1710.09412
    """

    #: The validation pictures would choose an epoch in which copies are not in order yet.
    keeps_best = False

    def __init__(
        self,
        recipe: RatingsRecipe,
        pictures: RatedPictures,
        rows: np.ndarray,
        held_out: np.ndarray,
        copies: WorseCopies | None = None,
        teacher: keras.Model | None = None,
    ) -> None:
        self.seed, self.settings = recipe.seed, recipe.statistics
        quality = pictures.quality[rows]
        self.score_model = build_extended_score_model(
            mean=float(quality.mean()),
            deviation=float(quality.std()),
            units=self.settings.units,
            dropout=self.settings.dropout,
        )
        self.trained = opinions_of(self.score_model)
        standardize_features(self.score_model, pictures.extras[rows])
        self.statistics, self.targets = pictures.extras[rows], _targets(quality, quality)
        self.held_out = pictures.extras[held_out]
        self.held_out_targets = _targets(pictures.quality[held_out], quality)
        self.copies, self.ordered = self._ordered(copies)
        self.teacher = teacher
        self.steps = len(rows) // self.settings.batch_size
        schedule = keras.optimizers.schedules.CosineDecay(
            self.settings.learning_rate, self.settings.epochs * self.steps
        )
        optimizer = keras.optimizers.AdamW(schedule, weight_decay=self.settings.weight_decay)
        optimizer.build(self.trained.trainable_variables)
        self.optimizers = {"optimizer": optimizer}

    def batches(self, epoch: int) -> tf.data.Dataset:
        """Returns the batches of an epoch: statistics, targets, mixtures of statistics, and copies.

        Of the copies there are some that get worse from each to the next, (N, 6, 448), and pairs of
        a better and a worse one of different pictures, (N, 2, 448).
        """
        rng = np.random.default_rng([self.seed, epoch])
        for layer in self.trained.layers:
            if isinstance(layer, keras.layers.Dropout) and layer.rate:
                # A checkpoint does not hold what dropout draws next; so each epoch begins anew.
                layer.seed_generator.state.assign(rng.integers(2**31, size=2))
        shape = self.steps, self.settings.batch_size
        order = rng.permutation(len(self.statistics))[: shape[0] * shape[1]].reshape(shape)
        mixed = self.steps, 2 * self.settings.batch_size
        one, other = self.statistics[rng.integers(len(self.statistics), size=(2, *mixed))]
        mixtures = other + rng.random((*mixed, 1), np.float32) * (one - other)
        parts = [self.statistics[order], self.targets[order], mixtures]
        for sequences, size, _ in self.ordered:
            chosen = sequences[rng.integers(len(sequences), size=(self.steps, size))]
            parts.append(self.copies[chosen])
        return untuned(tf.data.Dataset.from_tensor_slices(tuple(map(np.float32, parts))))

    def train_step(
        self, statistics: tf.Tensor, targets: tf.Tensor, mixtures: tf.Tensor, *ordered: tf.Tensor
    ) -> tf.Tensor:
        """Changes the weights by one batch; returns the mean squared error before that."""
        variables = self.trained.trainable_variables
        with tf.GradientTape() as tape:
            opinions = self.trained(statistics, training=True)  # (N, members, 3)
            deviations = opinions[..., :2] - targets[:, tf.newaxis]
            error = tf.reduce_mean(tf.square(deviations))
            loss = error + _error_loss(deviations[..., 0], opinions[..., 2])
            if self.teacher is not None:
                disagreement = self._disagreement(mixtures, self.teacher)
                loss += self.settings.teacher_weight * disagreement
            for copies, (*_, margin) in zip(ordered, self.ordered, strict=True):
                loss += self.settings.copies_weight * self._penalty(copies, margin)
        gradients = tape.gradient(loss, variables)
        self.optimizers["optimizer"].apply_gradients(zip(gradients, variables, strict=True))
        return error

    def held_out_scores(self) -> np.ndarray:
        """Returns the mean opinion of the held-out pictures' quality, (n,), standardised."""
        opinions = self.trained(self.held_out, training=False).numpy()
        return opinions.mean(axis=1)[:, 0]

    def validate(self, scores: np.ndarray) -> float:
        """Returns the mean squared error of the scores of the held-out pictures."""
        return float(np.mean(np.square(scores - self.held_out_targets[:, 0])))

    def _ordered(
        self, copies: WorseCopies | None
    ) -> tuple[np.ndarray, list[tuple[np.ndarray, int, float]]]:
        """Statistics of copies, rows that get worse from each to the next, and their settings."""
        settings = self.settings
        if copies is None or not settings.copies_weight:
            return np.empty(0), []
        statistics = copies.statistics
        by_level = np.arange(math.prod(statistics.shape[:2])).reshape(statistics.shape[:2])
        pairs = clear_pairs(copies, settings.pairs_gap)
        ordered = [(by_level, settings.copies_batch_size, settings.copies_margin)]
        if len(pairs):
            ordered.append((pairs, settings.pairs_batch_size, settings.pairs_margin))
        return statistics.reshape(-1, statistics.shape[-1]), ordered

    def _disagreement(self, statistics: tf.Tensor, teacher: keras.Model) -> tf.Tensor:
        """The mean squared difference between opinions and the teacher's mean opinion."""
        wanted = tf.reduce_mean(teacher(statistics, training=False), axis=1, keepdims=True)
        opinions = self.trained(statistics, training=True)
        return tf.reduce_mean(tf.square(opinions - tf.stop_gradient(wanted))[..., :2])

    def _penalty(self, copies: tf.Tensor, margin: float) -> tf.Tensor:
        """The mean square of how far opinions fall short of falling from each to the next."""
        number, length, size = copies.shape
        # Without dropout, whose noise would have to be outdone by larger differences.
        opinions = self.trained(tf.reshape(copies, [number * length, size]), training=False)
        opinions = tf.reshape(opinions[..., :2], [number, length, -1])
        missing = opinions[:, 1:] - opinions[:, :-1] + margin
        return tf.reduce_mean(tf.square(tf.nn.relu(missing)))


def _error_loss(deviations: tf.Tensor, log_errors: tf.Tensor) -> tf.Tensor:
    """Is least where a log error is that of the mean absolute deviation: Laplace's likelihood."""
    size = tf.stop_gradient(tf.abs(deviations))
    return ERROR_WEIGHT * tf.reduce_mean(size * tf.exp(-log_errors) + log_errors)


class FeaturesTraining:
    """Step 2 of DIQA: the quality itself is learnt, by f and h, on mosaics of random crops."""

    keeps_best = True

    def __init__(
        self,
        recipe: RatingsRecipe,
        pictures: RatedPictures,
        rows: np.ndarray,
        held_out: np.ndarray,
        extractor: keras.Model,
    ) -> None:
        self.recipe, self.settings = recipe, recipe.features
        self.pictures, self.rows, self.held_out = pictures, rows, held_out
        self.steps = len(rows) // self.settings.batch_size
        pooling = MeanAndDeviation() if self.settings.deviations else None
        self.score_model = self.trained = build_score_model(extractor, pooling=pooling)
        standardize_features(self.score_model, self._features())
        f_ids = {id(variable) for variable in extractor.trainable_variables}
        variables = self.score_model.trainable_variables
        head = [variable for variable in variables if id(variable) not in f_ids]
        self.variables = [extractor.trainable_variables, head]
        self.optimizers = {
            "features_optimizer": self._optimizer(self.settings.features_learning_rate),
            "head_optimizer": self._optimizer(self.settings.head_learning_rate),
        }
        for optimizer, variables in zip(self.optimizers.values(), self.variables, strict=True):
            optimizer.build(variables)
        self.answer = _compiled_model(self.score_model)

    def batches(self, epoch: int) -> tf.data.Dataset:
        """Returns the batches of an epoch: a mosaic of random crops of each picture."""
        size, seed = self.settings.batch_size, self.recipe.seed
        order = np.random.default_rng([seed, epoch]).permutation(self.rows)

        def cut(number: np.ndarray) -> tuple[np.ndarray, ...]:
            rng = np.random.default_rng([seed, epoch, int(number)])
            chosen = order[number * size : (number + 1) * size]
            mosaics = np.stack([self._mosaic(row, rng) for row in chosen])
            parts = mosaics, self.pictures.extras[chosen], self.pictures.quality[chosen, None]
            return tuple(part.astype(np.float32) for part in parts)

        side = self.settings.mosaic_size
        shapes = (side, side, 1), (2,), (1,)

        def to_batch(number: tf.Tensor) -> tuple[tf.Tensor, ...]:
            parts = tf.numpy_function(cut, [number], [tf.float32] * 3)
            return tuple(
                tf.ensure_shape(part, (size, *shape))
                for part, shape in zip(parts, shapes, strict=True)
            )

        numbers = tf.data.Dataset.range(self.steps)
        batches = numbers.map(as_it_is(to_batch), num_parallel_calls=2, deterministic=True)
        return untuned(batches.prefetch(4))

    def train_step(self, *batch: tf.Tensor) -> tf.Tensor:
        """Changes the weights by one batch; returns the mean squared error before that."""
        return on_all_devices(self._learn, self.score_model, batch)

    def _learn(self, batch: tuple[tf.Tensor, ...], share: Any) -> tf.Tensor:
        """Changes the weights by one device's share of a batch."""
        normalized, extras, quality = batch
        inputs = {"normalized": normalized, "hand_crafted": extras}
        with tf.GradientTape() as tape:
            error = tf.reduce_mean(tf.square(self.score_model(inputs, training=True) - quality))
            # The penalty on large weights is not part of what is reported.
            loss = share * (error + sum(self.score_model.losses))
        gradients = tape.gradient(loss, self.variables)  # nested as the variables are
        parts = zip(self.optimizers.values(), gradients, self.variables, strict=True)
        for optimizer, part, variables in parts:
            optimizer.apply_gradients(zip(part, variables, strict=True))
        return share * error

    def held_out_scores(self) -> np.ndarray:
        """Returns the scores of the held-out pictures, each scored as a whole: (n,)."""
        return self._scored(self.held_out)[0]

    def validate(self, scores: np.ndarray) -> float:
        """Returns the mean squared error of the scores of the held-out pictures.

        Scores of wholes lie lower or higher than those of mosaics. What counts is the error that
        is left beside the line that fits best, because `calibrate` will take care of the line.
        """
        quality = self.pictures.quality[self.held_out].astype(np.float64)
        slope, offset = _line(scores, quality)
        return float(np.mean(np.square(slope * scores + offset - quality)))

    def calibrate(self) -> None:
        """Brings the scores of whole pictures to the scale of the ratings, on training pictures."""
        slope, offset = _line(*self._scored(self.rows[:PICTURES_TO_STANDARDIZE]))
        layer = self.score_model.get_layer("score")
        kernel, bias = layer.get_weights()
        layer.set_weights([slope * kernel, slope * bias + offset])

    def _optimizer(self, rate: float) -> keras.Optimizer:
        """Returns AdamW with a rate that rises for a while and then falls along a cosine."""
        total = self.settings.epochs * self.steps
        warm_up = min(self.settings.warm_up, total // 2)
        schedule = keras.optimizers.schedules.CosineDecay(
            rate / 20, max(1, total - warm_up), alpha=0.01, warmup_target=rate, warmup_steps=warm_up
        )
        settings = {"weight_decay": self.settings.weight_decay, "beta_2": self.settings.beta_2}
        return keras.optimizers.AdamW(schedule, **settings)

    def _mosaic(self, row: int, rng: np.random.Generator) -> np.ndarray:
        """Cuts a square at random from each cell of a grid over a picture, and joins them.

        So a few pixels stand for the picture as a whole. The joints hardly show: the normalised
        picture is about zero everywhere.
        """
        picture, number = self.pictures.normalized(row)[..., 0], self.settings.crops
        crops = [
            [self._random_crop(cell, rng) for cell in np.array_split(band, number, axis=1)]
            for band in np.array_split(picture, number, axis=0)
        ]
        mosaic = np.block(crops)[..., np.newaxis]
        return mosaic[:, ::-1] if self.settings.mirror and rng.random() < 0.5 else mosaic

    def _random_crop(self, cell: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Cuts a square at random from a part of a picture."""
        side = self.settings.crop_size
        top, left = (int(rng.integers(length - side + 1)) for length in cell.shape)
        return cell[top : top + side, left : left + side]

    def _scored(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scores of pictures as wholes, and their ratings: both (n,)."""
        scores = _answers(self.answer, self.pictures, rows)[:, 0]
        return scores.astype(np.float64), self.pictures.quality[rows].astype(np.float64)

    def _features(self) -> np.ndarray:
        """The numbers that the model standardises, of some training pictures as wholes: (n, K)."""
        model = self.score_model
        features = keras.Model(model.input, model.get_layer("features").output)
        rows = self.rows[:PICTURES_TO_STANDARDIZE]
        return _answers(_compiled_model(features), self.pictures, rows)


def _targets(quality: np.ndarray, of_training: np.ndarray) -> np.ndarray:
    """Quality and rank among the training pictures, both in standard deviations: (N, 2)."""
    shares = np.linspace(0, 1, len(of_training))
    rank = np.interp(quality, np.sort(of_training), shares)
    standardized = (quality - of_training.mean()) / of_training.std()
    return np.stack([standardized, (rank - 0.5) / RANK_DEVIATION], axis=1).astype(np.float32)


def _line(scores: np.ndarray, quality: np.ndarray) -> tuple[float, float]:
    """Slope and offset of the rising line from scores to quality with the least squares."""
    covariance = np.mean((scores - scores.mean()) * (quality - quality.mean()))
    slope = max(0.0, covariance / max(float(np.var(scores)), 1e-12))
    return slope, float(quality.mean() - slope * scores.mean())


def _compiled_model(model: keras.Model) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Returns a part of DIQA's score model as a graph for pictures of any size."""

    def answer(normalized: tf.Tensor, extras: tf.Tensor) -> tf.Tensor:
        return model({"normalized": normalized, "hand_crafted": extras}, training=False)

    return compiled(answer)


def _answers(
    answer: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    pictures: RatedPictures,
    rows: np.ndarray,
) -> np.ndarray:
    """What a compiled model says of each picture, given to it as a whole: (n, K)."""
    answers = []
    for row in rows:
        normalized = tf.constant(pictures.normalized(row)[None], tf.float32)
        extras = tf.constant(pictures.extras[row][None], tf.float32)
        answers.append(answer(normalized, extras).numpy())
    return np.concatenate(answers)
