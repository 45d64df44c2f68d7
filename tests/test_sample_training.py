"""Trained models and their cache, with a run so short that it takes a second."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from diqa_utils import sample_training as recipes
from diqa_utils.sample_training import Recipe, trained_error_map_model, trained_score_model

pytestmark = pytest.mark.usefixtures("small_network")

TINY = Recipe(
    patch_size=48,
    patches_per_image=1,
    error_map_batch_size=4,
    error_map_epochs=1,
    score_batch_size=4,
    score_epochs=1,
)


def tiny_database(name, *, split):
    assert name == "sample_iqa"
    rng = np.random.default_rng(["train", "validation"].index(split))
    reference = rng.integers(0, 256, (4, 48, 48, 3))
    distorted = np.clip(reference + rng.normal(0, 30, reference.shape), 0, 255)
    return tf.data.Dataset.from_tensor_slices(
        {
            "reference_image": reference.astype(np.uint8),
            "distorted_image": distorted.astype(np.uint8),
            "quality": np.linspace(0.2, 0.8, 4, dtype=np.float32),
        }
    )


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("DIQA_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(recipes.datasets, "load", tiny_database)
    return tmp_path / "models"


class Trainings:
    """Calls of the two training functions, which go through."""

    def __init__(self, monkeypatch):
        self.names, self.settings, self.start, self.fail = [], [], [], False
        for name in ("train_error_map_model", "train_score_model"):
            monkeypatch.setattr(recipes, name, self.counted(name, getattr(recipes, name)))

    def counted(self, name, train):
        def counted(model, *arguments, **settings):
            self.names.append(name)
            self.settings.append(settings)
            self.start.append(fingerprint(model.get_layer("feature_extractor")))
            history = train(model, *arguments, **settings)
            if self.fail:
                raise KeyboardInterrupt
            return history

        return counted


@pytest.fixture
def trainings(monkeypatch):
    return Trainings(monkeypatch)


def fingerprint(model):
    return [weights.tobytes() for weights in model.get_weights()]


BOTH = [(trained_error_map_model, "error-map"), (trained_score_model, "score")]


@pytest.mark.parametrize(("trained", "name"), BOTH)
def test_the_second_call_takes_the_model_from_the_cache(trained, name, trainings, cache):
    model, history = trained(TINY)
    count = len(trainings.names)
    assert f"train_{name.replace('-', '_')}_model" in trainings.names
    again, history_again = trained(dataclasses.replace(TINY))
    assert len(trainings.names) == count
    assert fingerprint(again) == fingerprint(model)
    assert again is not model  # nobody's changes reach another
    assert history_again == history
    assert [len(losses) for losses in history.values()] == [1, 1]
    assert [path.name for path in cache.glob("*/*.weights.h5")] == []
    assert {path.name for path in cache.glob(f"*/{name}/*")} == {
        "best.weights.h5",
        "history.json",
    }


def test_the_score_model_starts_from_the_extractor_of_step_1(trainings):
    recipe = dataclasses.replace(TINY, error_map_batch_size=1)  # the first step moves only the head
    trained_score_model(recipe)
    assert trainings.names == ["train_error_map_model", "train_score_model"]
    error_map_model, _ = trained_error_map_model(recipe)
    assert trainings.start[1] == fingerprint(error_map_model.get_layer("feature_extractor"))
    assert trainings.start[0] != trainings.start[1]
    assert len(trainings.names) == 2


def test_the_same_recipe_gives_the_same_model(cache, tmp_path, monkeypatch):
    weights = []
    for folder in ("one", "other"):
        monkeypatch.setenv("DIQA_CACHE_DIR", str(tmp_path / folder))
        weights.append(fingerprint(trained_score_model(TINY)[0]))
    assert weights[0] == weights[1]


def test_the_recipe_reaches_the_training(trainings):
    recipe = dataclasses.replace(
        TINY, error_map_epochs=2, error_map_learning_rate=3e-4, score_learning_rate=7e-4
    )
    _, history = trained_error_map_model(recipe)
    trained_score_model(recipe)
    assert len(history["loss"]) == 2
    first, second = trainings.settings
    assert (first["epochs"], second["epochs"]) == (2, 1)
    schedules = [settings["optimizer"]._learning_rate for settings in (first, second)]
    assert [float(schedule(0)) for schedule in schedules] == pytest.approx([3e-4, 7e-4])
    # The rate is zero at the end: two epochs of one batch, one of one.
    assert [float(schedules[0](2)), float(schedules[1](1))] == pytest.approx([0, 0], abs=1e-9)
    assert first["optimizer"] is not second["optimizer"]


def test_without_a_recipe_it_is_the_chapters_own(monkeypatch):
    asked = []
    monkeypatch.setattr(recipes, "_from_cache_or_train", lambda name, *rest: asked.append(rest[0]))
    trained_error_map_model()
    trained_score_model()
    assert asked == [Recipe(), Recipe()]


# The place in the cache


CHANGED = {field.name: getattr(TINY, field.name) * 2 or 1 for field in dataclasses.fields(Recipe)}


@pytest.mark.parametrize("setting", CHANGED)
def test_every_setting_has_a_folder_of_its_own(setting):
    other = dataclasses.replace(TINY, **{setting: CHANGED[setting]})
    assert recipes._folder(other) != recipes._folder(TINY)


def test_the_folder_depends_on_code_versions_and_arithmetic(monkeypatch):
    folders = {recipes._folder(TINY)}
    with monkeypatch.context() as patch:
        patch.setattr(recipes, "source_fingerprint", lambda *_: "changed")
        folders.add(recipes._folder(TINY))
    for module in (tf, keras):
        with monkeypatch.context() as patch:
            patch.setattr(module, "__version__", "0.0")
            folders.add(recipes._folder(TINY))
    with monkeypatch.context() as patch:
        other = not recipes.bfloat16_is_fast()
        patch.setattr(recipes, "bfloat16_is_fast", lambda: other)
        folders.add(recipes._folder(TINY))
    assert len(folders) == 5
    assert recipes._folder(TINY) in folders


def test_another_seed_gives_another_model(trainings):
    first, _ = trained_error_map_model(TINY)
    second, _ = trained_error_map_model(dataclasses.replace(TINY, seed=1))
    assert len(trainings.names) == 2
    assert fingerprint(first) != fingerprint(second)


# Interruptions


@pytest.mark.parametrize(("trained", "name"), BOTH)
def test_an_interrupted_training_leaves_nothing_half_made(trained, name, trainings, cache):
    if name == "score":
        trained_error_map_model(TINY)
    trainings.fail = True
    with pytest.raises(KeyboardInterrupt):
        trained(TINY)
    assert list(cache.glob(f"*/{name}/*")) == []
    trainings.fail = False
    assert np.isfinite(trained(TINY)[1]["loss"]).all()


def test_an_interrupted_write_leaves_nothing_half_made(trainings, cache, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(recipes.json, "dumps", interrupted_after(1, recipes.json.dumps))
        with pytest.raises(KeyboardInterrupt):
            trained_error_map_model(TINY)
    assert list(cache.glob("*/error-map/*")) == []
    trained_error_map_model(TINY)
    assert [path.name for path in cache.glob("*/*.incomplete")] == []
    assert len(list(cache.glob("*/error-map/*"))) == 2


def interrupted_after(calls, function):
    """`function`, which is interrupted once it was called so often."""
    left = [calls]

    def wrapped(*arguments, **settings):
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        return function(*arguments, **settings)

    return wrapped
