"""The two training steps, on a few small images: they learn, stop, go on and repeat."""

from functools import partial
from operator import itemgetter

import keras
import numpy as np
import pytest
import tensorflow as tf

from diqa_utils import training
from diqa_utils.losses import weighted_error_map_loss
from diqa_utils.models import build_error_map_model, build_feature_extractor, build_score_model
from diqa_utils.pipelines import error_map_batches, score_batches
from diqa_utils.training import (
    best_constant_map,
    evaluate_error_map_model,
    load_weights,
    train_error_map_model,
    train_score_model,
    train_step,
)

pytestmark = pytest.mark.usefixtures("small_network")

NUMBER, SIZE = 5, 48
EPOCHS = 2
QUALITY = np.array([0.9, 0.1, 0.7, 0.3, 0.5], np.float32)


def database(seed=0):
    """Images whose noise grows as their quality falls."""
    rng = np.random.default_rng(seed)
    reference = rng.integers(60, 196, (NUMBER, SIZE, SIZE, 3))
    noise = rng.normal(0, 1, reference.shape) * (1 - QUALITY)[:, None, None, None] * 60
    return tf.data.Dataset.from_tensor_slices(
        {
            "reference_image": reference.astype(np.uint8),
            "distorted_image": np.clip(reference + noise, 0, 255).astype(np.uint8),
            "quality": QUALITY,
        }
    )


class Step1:
    """Step 1 as the tests that hold for both steps call it."""

    build = staticmethod(build_error_map_model)
    function = staticmethod(train_error_map_model)

    @staticmethod
    def data():
        """Training batches, two patches an image, and validation batches; made anew."""
        patches = {"patch_size": 48, "patches_per_image": 2, "seed": 0}
        return (
            error_map_batches(database(), batch_size=4, **patches),
            error_map_batches(database(1), batch_size=2),
        )

    @classmethod
    def train(cls, model, epochs, folder=None, data=None, progress=False, **settings):
        batches, validation = data or cls.data()
        return cls.function(
            model, batches, validation, epochs=epochs, folder=folder, progress=progress, **settings
        )

    @classmethod
    def loss(cls, model):
        return evaluate_error_map_model(model, cls.data()[1])


class Step2(Step1):
    build = staticmethod(build_score_model)
    function = staticmethod(train_score_model)

    @staticmethod
    def data():
        return (
            score_batches(database(), batch_size=2, seed=0),
            score_batches(database(1), batch_size=2),
        )

    @classmethod
    def loss(cls, model):
        errors = [
            np.asarray(model(inputs))[:, 0] - quality.numpy() for inputs, quality in cls.data()[1]
        ]
        return np.mean(np.concatenate(errors) ** 2)


class FrozenStep2(Step2):
    """Step 2 with f frozen, which trains on features that are computed once."""

    @staticmethod
    def build():
        model = build_score_model()
        model.get_layer("feature_extractor").trainable = False
        return model


both_steps = pytest.mark.parametrize("step", [Step1, Step2])
every_step = pytest.mark.parametrize("step", [Step1, Step2, FrozenStep2])


def new(build):
    """A model with the weights of a fixed seed."""
    keras.utils.set_random_seed(0)
    return build()


def nadam(rate=3e-4):
    return keras.optimizers.Nadam(rate)


def fingerprint(model):
    return [weights.tobytes() for weights in model.get_weights()]


@pytest.fixture(scope="module")
def undisturbed():
    """The weights and history of EPOCHS epochs without a stop, by step."""
    results = {}
    for step in (Step1, Step2, FrozenStep2):
        model = new(step.build)
        history = step.train(model, EPOCHS, optimizer=nadam())
        results[step] = fingerprint(model), history
    return results


# One step of step 1


def one_batch():
    return next(iter(Step1.data()[0]))


def test_train_step_is_a_step_of_gradient_descent():
    normalized, target, reliability = batch = one_batch()
    model = new(build_error_map_model)
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())

    # d/db and d/dk of mean(((k . features + b - target) r) ** 2), by hand.
    features = twin.get_layer("feature_extractor")(normalized).numpy()
    kernel, bias = (values.numpy() for values in twin.get_layer("error_map").weights)
    error = features @ kernel[0, 0] + bias - target
    pull = 2 * error * np.square(reliability) / error.numpy().size
    expected_kernel = kernel[0, 0, :, 0] - 0.1 * np.einsum("nhwc,nhwo->c", features, pull)
    expected_bias = bias - 0.1 * np.sum(pull)
    expected_loss = np.mean(np.square(error * reliability))

    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build(model.trainable_variables)
    loss = train_step(model, optimizer, batch)
    kernel, bias = (values.numpy() for values in model.get_layer("error_map").weights)
    assert loss.dtype == tf.float32
    assert float(loss) == pytest.approx(expected_loss, rel=1e-5)
    np.testing.assert_allclose(kernel[0, 0, :, 0], expected_kernel, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(bias, expected_bias, rtol=1e-5)


# Both steps


@every_step
def test_the_loss_falls(step, undisturbed):
    _, history = undisturbed[step]
    assert set(history) == {"loss", "validation_loss"}
    assert [len(losses) for losses in history.values()] == [EPOCHS, EPOCHS]
    assert history["loss"][-1] < 0.95 * history["loss"][0]


@both_steps
def test_the_best_epoch_is_restored(step):
    model = new(step.build)
    # With a rate that leaps out of control after two epochs.
    steps = 2 * sum(1 for _ in step.data()[0])
    rate = keras.optimizers.schedules.PiecewiseConstantDecay([steps], [1e-3, 0.1])
    history = step.train(model, 3, optimizer=keras.optimizers.Nadam(rate))
    losses = history["validation_loss"]
    assert losses[2] > 1.5 * min(losses)
    assert step.loss(model) == pytest.approx(min(losses), rel=1e-4)


@every_step
def test_one_seed_gives_one_model_and_a_finished_run_is_only_loaded(step, tmp_path, undisturbed):
    folder = tmp_path / "new" / "run"
    model = new(step.build)
    history = step.train(model, EPOCHS, folder, optimizer=nadam())
    assert (fingerprint(model), history) == undisturbed[step]  # keeping changes nothing
    [file] = folder.iterdir()
    assert file.name == "checkpoint.npz"
    written, other = file.stat().st_mtime_ns, step.build()
    assert step.train(other, EPOCHS, folder, optimizer=nadam()) == history
    assert fingerprint(other) == fingerprint(model)
    assert file.stat().st_mtime_ns == written


@every_step
def test_a_stopped_run_goes_on_as_if_nothing_had_happened(step, tmp_path, undisturbed):
    step.train(new(step.build), 1, tmp_path, optimizer=nadam())
    keras.utils.set_random_seed(5)  # other first weights: they must not matter
    model = step.build()
    extractor = model.get_layer("feature_extractor")
    keras.utils.set_random_seed(0)  # the order of the batches depends on it too
    if step is not Step1:  # the features that are standardised come from step 1
        extractor.set_weights(new(step.build).get_layer("feature_extractor").get_weights())
    history = step.train(model, EPOCHS, tmp_path, optimizer=nadam())
    weights, expected = undisturbed[step]
    assert history == expected
    assert fingerprint(model) == weights


def test_batches_without_end_are_asked_for_by_epoch(tmp_path):
    """A function gives the batches of an epoch; a stopped run asks for those to come only."""
    _, validation = Step1.data()
    asked = []

    def batches_of(epoch):
        asked.append(epoch)
        return error_map_batches(database(10 + epoch), batch_size=4).repeat().take(3)

    def run(epochs, folder=None):
        keras.utils.set_random_seed(0)
        model = build_error_map_model()
        data = batches_of, validation
        return Step1.train(model, epochs, folder, data, optimizer=nadam()), fingerprint(model)

    undisturbed = run(3)
    assert asked == [0, 1, 2]
    run(1, tmp_path)
    asked.clear()
    assert run(3, tmp_path) == undisturbed
    assert asked == [1, 2]


@every_step
def test_a_first_epoch_that_diverges_is_an_error(step, tmp_path):
    endless = keras.optimizers.SGD(1e30)
    with pytest.raises(ValueError, match=r"validation loss of (nan|inf)|y_pred holds NaN"):
        step.train(new(step.build), 2, tmp_path, optimizer=endless)
    assert list(tmp_path.iterdir()) == []


class Killed(BaseException):
    """Stands for a signal that ends the process."""


@pytest.mark.parametrize("epochs_done", [0, 1])
def test_a_run_killed_while_it_writes_goes_on(epochs_done, tmp_path, monkeypatch, undisturbed):
    if epochs_done:
        Step1.train(new(Step1.build), epochs_done, tmp_path, optimizer=nadam())

    def half_written(path, write):
        path.with_name(f"incomplete-01234567-{path.name}").write_bytes(b"half")
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(training, "write_atomically", half_written)
        with pytest.raises(Killed):
            Step1.train(new(Step1.build), EPOCHS, tmp_path, optimizer=nadam())

    model = new(Step1.build)
    history = Step1.train(model, EPOCHS, tmp_path, optimizer=nadam())
    assert history == undisturbed[Step1][1]
    assert fingerprint(model) == undisturbed[Step1][0]
    if epochs_done:  # nothing is left of the half
        assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.npz"]


# Folders that do not fit


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folders of runs of one epoch, by step."""
    folders = {}
    for step in (Step1, Step2):
        folders[step] = tmp_path_factory.mktemp(step.__name__)
        step.train(new(step.build), 1, folders[step])
    return folders


@both_steps
def test_a_checkpoint_of_another_model_or_optimizer_is_refused(step, finished):
    other = finished[Step1 if step is Step2 else Step2]
    with pytest.raises(ValueError, match=r"checkpoint\.npz' is not a checkpoint of ") as info:
        step.train(step.build(), 2, other)
    assert str(other) in str(info.value)
    with pytest.raises(ValueError, match=r"is not a checkpoint of a .*optimizer"):
        step.train(step.build(), 2, finished[step], optimizer=keras.optimizers.SGD(0.1))


def flipped(content, share):
    place = int(share * len(content))
    return content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        *(partial(flipped, share=share) for share in (0, 0.3, 0.6, 0.9)),
        *(itemgetter(slice(length)) for length in (0, 100, 5000)),
    ],
)
def test_a_damaged_checkpoint_is_noticed(damage, finished, tmp_path):
    content = (finished[Step1] / "checkpoint.npz").read_bytes()
    (tmp_path / "checkpoint.npz").write_bytes(damage(content))
    model = build_error_map_model()
    before = fingerprint(model)
    with pytest.raises(ValueError, match=r"checkpoint\.npz' is (damaged: delete|not a checkpoint)"):
        Step1.train(model, 2, tmp_path)
    assert fingerprint(model) == before


# Weights


@pytest.mark.parametrize(
    ("saved", "loading"),
    [(build_feature_extractor, build_error_map_model), (build_score_model, build_error_map_model)],
)
def test_weights_of_another_model_are_refused(saved, loading, tmp_path):
    path = tmp_path / "other.weights.h5"
    saved().save_weights(path)
    words = r"other\.weights\.h5' does not hold weights of the model 'error_map_model'"
    with pytest.raises(ValueError, match=words) as info:
        load_weights(loading(), path)
    assert "\n" not in str(info.value)


def test_missing_and_damaged_weights_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.weights\.h5"):
        load_weights(build_feature_extractor(), tmp_path / "none.weights.h5")
    for content in ("", "These are no weights."):
        (tmp_path / "bad.weights.h5").write_text(content)
        with pytest.raises(ValueError, match=r"bad\.weights\.h5' does not hold weights"):
            load_weights(build_feature_extractor(), tmp_path / "bad.weights.h5")


def test_weights_that_are_no_numbers_are_refused_and_nothing_is_set(tmp_path):
    model = build_feature_extractor()
    before = fingerprint(model)
    broken = build_feature_extractor()
    broken.layers[-1].bias.assign(np.full(128, np.nan))
    broken.save_weights(tmp_path / "nan.weights.h5")
    with pytest.raises(ValueError, match=r"nan\.weights\.h5' holds weights that are not finite"):
        load_weights(model, tmp_path / "nan.weights.h5")
    assert fingerprint(model) == before


# The loss over a set of images


def test_the_loss_over_a_set_weighs_every_image_alike():
    model = new(build_error_map_model)
    batches = error_map_batches(database(), batch_size=2)
    assert [len(batch[0]) for batch in batches] == [2, 2, 1]
    [(normalized, target, reliability)] = error_map_batches(database(), batch_size=NUMBER)
    expected = weighted_error_map_loss(target, model(normalized), reliability)
    assert evaluate_error_map_model(model, batches) == pytest.approx(float(expected), rel=1e-5)


def test_best_constant_map_is_the_best_of_all_constants():
    batches = error_map_batches(database(), batch_size=2)
    constant, loss = best_constant_map(batches)
    _, target, reliability = (
        np.concatenate(part) for part in zip(*batches.as_numpy_iterator(), strict=True)
    )
    candidates = np.linspace(0, 1, 2001)
    losses = [np.mean(((value - target) * reliability) ** 2) for value in candidates]
    assert constant == pytest.approx(candidates[np.argmin(losses)], abs=1e-3)
    assert loss == pytest.approx(min(losses), rel=1e-4)
    assert loss <= min(losses) * (1 + 1e-6)


@pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning")
@every_step
def test_nothing_to_train_on_or_to_validate_on_is_refused(step):
    batches, validation = step.data()
    with pytest.raises(ValueError, match="There are no batches"):
        step.train(step.build(), 1, data=(batches.take(0), validation))
    with pytest.raises(ValueError, match=r"There are no (validation )?batches"):
        step.train(step.build(), 1, data=(batches, validation.take(0)))
    for function in (best_constant_map, partial(evaluate_error_map_model, step.build())):
        with pytest.raises(ValueError, match="There are no batches"):
            function(batches.take(0))


# Step 2 alone


def features_of(model, batches):
    """[GAP(f), mu_r, sigma_low] of every image, pooled by NumPy: (N, 130)."""
    extractor = model.get_layer("feature_extractor")
    pooled = [extractor(inputs["normalized"]).numpy().mean(axis=(1, 2)) for inputs, _ in batches]
    hand_crafted = [inputs["hand_crafted"].numpy() for inputs, _ in batches]
    return np.concatenate([np.concatenate(pooled), np.concatenate(hand_crafted)], axis=1)


@pytest.mark.parametrize("step", [Step2, FrozenStep2])
def test_features_are_standardised_by_the_training_images(step):
    model = new(step.build)
    batches = score_batches(database(), batch_size=2)
    features = features_of(model, batches)
    Step2.train(model, 1, data=(batches, batches), optimizer=keras.optimizers.SGD(0.0))
    standardized = keras.Model(model.inputs, model.get_layer("standardized").output)
    values = np.concatenate([standardized(inputs).numpy() for inputs, _ in batches])
    expected = (features - features.mean(axis=0)) / np.sqrt(features.var(axis=0) + 1e-6)
    assert features.shape == (NUMBER, 130)
    np.testing.assert_allclose(values, expected, atol=5e-3)


def test_a_frozen_extractor_stays_and_the_head_learns(undisturbed):
    before, (after, _) = new(FrozenStep2.build), undisturbed[FrozenStep2]
    layers = [weights.path.split("/")[0] for weights in before.weights]
    changed = {
        layer
        for layer, old, now in zip(layers, fingerprint(before), after, strict=True)
        if old != now
    }
    assert changed == {"standardized", "hidden", "score"}


def test_a_frozen_extractor_sees_every_image_once(monkeypatch):
    model, batches = new(FrozenStep2.build), Step2.data()
    seen = []
    extractor = model.get_layer("feature_extractor")
    forward = type(extractor).call

    def counted(self, inputs, *arguments, **settings):
        if self is extractor:
            tf.py_function(lambda images: seen.append(len(images)), [inputs], [])
        return forward(self, inputs, *arguments, **settings)

    monkeypatch.setattr(type(extractor), "call", counted)
    Step2.train(model, 3, data=batches)
    assert sum(seen) == 2 * NUMBER  # training and validation images, whatever the epochs


def test_training_on_features_is_training_on_images():
    """One epoch of one batch: fit on the lists moves the head as Keras moves it on the images."""
    batches = score_batches(database(), batch_size=NUMBER)
    model, twin = new(FrozenStep2.build), new(FrozenStep2.build)
    Step2.train(model, 1, data=(batches, batches), optimizer=keras.optimizers.SGD(0.1))
    training.standardize_features(twin, features_of(twin, batches))
    twin.compile(keras.optimizers.SGD(0.1), loss="mse")
    twin.fit(batches, shuffle=False, verbose=0)
    for trained, expected in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(trained, expected, atol=1e-4)


def test_the_history_of_step_2_is_the_mean_squared_error_without_the_penalty():
    model = new(build_score_model)
    history = Step2.train(model, 1, optimizer=keras.optimizers.SGD(0.0))
    assert float(sum(model.losses)) > 0.01
    assert history["validation_loss"][0] == pytest.approx(Step2.loss(model), rel=1e-4)
    # Untrained, it calls every image middling.
    expected = np.mean((QUALITY - 0.5) ** 2)
    assert history["loss"][0] == pytest.approx(expected, rel=1e-4)


@both_steps
def test_progress_is_shown_unless_it_is_not_wanted(step, capfd):
    step.train(new(step.build), 1)
    assert capfd.readouterr() == ("", "")
    step.train(new(step.build), 1, progress=True)
    shown = "".join(capfd.readouterr())
    assert "1/1" in shown or "val_loss" in shown
