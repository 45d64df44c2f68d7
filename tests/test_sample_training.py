"""Trained models and their cache, with a run so short that it takes a second."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from diqa_utils import sample_training
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
BOTH = [(trained_error_map_model, "error-map"), (trained_score_model, "score")]


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
    monkeypatch.setattr(sample_training.datasets, "load", tiny_database)
    return tmp_path / "models"


@pytest.fixture
def trainings(monkeypatch):
    """Each training: its name, its settings, and the weights of f that it starts from."""
    calls = []

    def counted(name, train):
        def counted(model, *arguments, **settings):
            calls.append((name, settings, fingerprint(model.get_layer("feature_extractor"))))
            return train(model, *arguments, **settings)

        return counted

    for name in ("train_error_map_model", "train_score_model"):
        train = getattr(sample_training, name)
        monkeypatch.setattr(sample_training, name, counted(name, train))
    return calls


def fingerprint(model):
    return [weights.tobytes() for weights in model.get_weights()]


@pytest.mark.parametrize(("trained", "name"), BOTH)
def test_the_second_call_takes_the_model_from_the_cache(trained, name, trainings, cache):
    model, history = trained(TINY)
    count = len(trainings)
    assert trainings[-1][0] == f"train_{name.replace('-', '_')}_model"
    again, history_again = trained(dataclasses.replace(TINY))
    assert len(trainings) == count
    assert fingerprint(again) == fingerprint(model)
    assert again is not model  # nobody's changes reach another
    assert history_again == history
    assert [len(losses) for losses in history.values()] == [1, 1]
    files = {path.name for path in cache.glob(f"*/{name}/*")}
    assert files == {"best.weights.h5", "history.json", "lock"}


def test_the_score_model_starts_from_the_extractor_of_step_1(trainings):
    recipe = dataclasses.replace(TINY, error_map_batch_size=1)  # the first step moves only the head
    trained_score_model(recipe)
    assert [name for name, *_ in trainings] == ["train_error_map_model", "train_score_model"]
    error_map_model, _ = trained_error_map_model(recipe)
    assert trainings[1][2] == fingerprint(error_map_model.get_layer("feature_extractor"))
    assert trainings[0][2] != trainings[1][2]


def test_one_recipe_gives_one_model_and_another_seed_another(tmp_path, monkeypatch):
    models = []
    for folder, seed in (("first", 0), ("second", 0), ("third", 1)):
        monkeypatch.setenv("DIQA_CACHE_DIR", str(tmp_path / folder))
        model, _ = trained_score_model(dataclasses.replace(TINY, seed=seed))
        models.append(fingerprint(model))
    assert models[0] == models[1] != models[2]


def test_the_recipe_reaches_the_training(trainings):
    recipe = dataclasses.replace(
        TINY, error_map_epochs=2, error_map_learning_rate=3e-4, score_learning_rate=7e-4
    )
    _, history = trained_error_map_model(recipe)
    trained_score_model(recipe)
    assert len(history["loss"]) == 2
    (_, first, _), (_, second, _) = trainings
    assert (first["epochs"], second["epochs"]) == (2, 1)
    schedules = [settings["optimizer"]._learning_rate for settings in (first, second)]
    assert [float(schedule(0)) for schedule in schedules] == pytest.approx([3e-4, 7e-4])
    # The rate is zero at the end: two epochs of one batch, one of one.
    assert [float(schedules[0](2)), float(schedules[1](1))] == pytest.approx([0, 0], abs=1e-9)


def test_without_a_recipe_it_is_the_chapters_own(monkeypatch):
    asked = []
    monkeypatch.setattr(
        sample_training, "_from_cache_or_train", lambda name, recipe, *rest: asked.append(recipe)
    )
    trained_error_map_model()
    trained_score_model()
    assert asked == [Recipe(), Recipe()]


def test_the_folder_depends_on_settings_code_and_versions(monkeypatch):
    settings = [field.name for field in dataclasses.fields(Recipe)]
    changed = [
        dataclasses.replace(TINY, **{name: getattr(TINY, name) * 2 or 1}) for name in settings
    ]
    folders = {sample_training._folder(recipe) for recipe in (TINY, *changed)}
    for module, name, value in (
        (sample_training, "source_fingerprint", lambda *_: "changed"),
        (tf, "__version__", "0.0"),
        (keras, "__version__", "0.0"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, value)
            folders.add(sample_training._folder(TINY))
    assert len(folders) == 1 + len(settings) + 3


@pytest.mark.parametrize(("trained", "name"), BOTH)
@pytest.mark.parametrize("calls", [0, 1])
def test_an_interrupted_write_leaves_nothing_half_made(calls, trained, name, cache, monkeypatch):
    write = sample_training.write_atomically
    written = []

    def interrupted(path, function):
        if path.parent.name == name:
            if len(written) == calls:
                raise KeyboardInterrupt
            written.append(path.name)
        write(path, function)

    with monkeypatch.context() as patch:
        patch.setattr(sample_training, "write_atomically", interrupted)
        with pytest.raises(KeyboardInterrupt):
            trained(TINY)
    assert not list(cache.glob(f"*/{name}/history.json"))
    assert np.isfinite(trained(TINY)[1]["loss"]).all()
