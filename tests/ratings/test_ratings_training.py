"""Training on human ratings: prepared pictures, and training that can be stopped."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from diqa_utils.image_statistics import STATISTICS, image_statistics
from diqa_utils.maps import hand_crafted_features
from diqa_utils.metrics import srcc
from diqa_utils.preprocessing import normalize
from diqa_utils.ratings import learning
from diqa_utils.ratings.copies import (
    WorseCopies,
    clear_pairs,
    damaged_at_random,
    measure_copies,
)
from diqa_utils.ratings.pictures import RatedPictures, prepare_pictures
from diqa_utils.ratings.recipe import (
    PREDICTORS,
    ErrorMapSettings,
    FeaturesSettings,
    RatingsRecipe,
    StatisticsSettings,
)
from diqa_utils.ratings.training import train_on_ratings

pytestmark = pytest.mark.usefixtures("small_network")

NO_ERROR_MAPS = ErrorMapSettings(epochs=0)
EXTENDED = RatingsRecipe(
    error_maps=NO_ERROR_MAPS,
    statistics=StatisticsSettings(epochs=4, batch_size=8, copies_batch_size=2, pairs_batch_size=4),
)
DIQA = RatingsRecipe(
    predictor="diqa",
    error_maps=ErrorMapSettings(epochs=2, steps=2, patches=4, patch_size=48, held_out_batches=1),
    features=FeaturesSettings(epochs=3, batch_size=4, crop_size=16, warm_up=2),
)


@pytest.fixture(scope="module")
def examples():
    """Twenty-four pictures of random texture, the rougher the better, of two sizes."""
    rng = np.random.default_rng(0)
    made = []
    for number in range(24):
        quality = (number * 7 % 24) / 23
        size = (64, 72) if number % 2 else (56, 64)
        texture = rng.normal(0, 4 + 40 * quality, (*size, 3))
        made.append(
            {
                "distorted_image": np.clip(128 + texture, 0, 255).astype(np.uint8),
                "quality": np.float32(quality),
                "image_id": f"picture {number}".encode(),
            }
        )
    return made


@pytest.fixture(scope="module")
def dataset(examples):
    shapes = {
        "distorted_image": tf.TensorSpec((None, None, 3), tf.uint8),
        "quality": tf.TensorSpec((), tf.float32),
        "image_id": tf.TensorSpec((), tf.string),
    }
    return tf.data.Dataset.from_generator(lambda: examples, output_signature=shapes)


@pytest.fixture(scope="module")
def prepared(dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    return {
        name: prepare_pictures(dataset, folder / name, predictor=name, progress=False)
        for name in PREDICTORS
    }


@pytest.fixture(scope="module")
def copies(examples):
    pictures = [one["distorted_image"][:56, :64] for one in examples]
    jobs = damaged_at_random(pictures, pictures[10:])
    return measure_copies(jobs, number=4, progress=False)


@pytest.fixture(scope="module")
def pristine():
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, (256, 256, 3), dtype=np.uint8) for _ in range(3)]


@pytest.fixture(scope="module")
def train(prepared, copies, pristine):
    def train(recipe, folder, **changes):
        pictures = prepared[recipe.predictor]
        ids = pictures.image_ids.tolist()
        settings = {
            "training": ids[:16],
            "validation": ids[16:],
            "copies": copies,
            "pristine": pristine,
            "folder": folder,
            "progress": False,
        }
        return train_on_ratings(recipe, pictures, **settings | changes)

    train.copies = copies
    return train


@pytest.fixture(scope="module")
def undisturbed(train, tmp_path_factory):
    """Trainings that nothing stopped, by predictor, and the folder that holds one of each."""
    folder = tmp_path_factory.mktemp("undisturbed")
    trained = {one.predictor: train(one, folder / one.predictor) for one in (EXTENDED, DIQA)}
    return trained, folder


def weights(trained):
    models = trained.score_model, trained.error_map_model
    return [values for model in models for values in model.get_weights()]


# Pictures


def test_pictures_are_prepared_for_the_extended_predictor(prepared, examples):
    pictures = prepared["extended"]
    assert len(pictures) == 24
    assert pictures.image_ids.tolist() == [one["image_id"].decode() for one in examples]
    np.testing.assert_array_equal(pictures.quality, [one["quality"] for one in examples])
    for row in (0, 1, 23):
        expected = image_statistics(examples[row]["distorted_image"])
        # Of so few pixels, higher moments follow each digit.
        np.testing.assert_allclose(pictures.extras[row], expected, atol=0.05)


def test_pictures_are_prepared_for_diqa(prepared, examples):
    pictures = prepared["diqa"]
    for row in (0, 1, 23):
        picture = examples[row]["distorted_image"]
        np.testing.assert_allclose(pictures.normalized(row), normalize(picture), atol=5e-4)
        np.testing.assert_allclose(pictures.extras[row], hand_crafted_features(picture), atol=1e-5)


def test_pictures_that_are_prepared_again_replace_others(dataset, tmp_path):
    prepare_pictures(dataset.take(3), tmp_path / "some", progress=False)
    again = prepare_pictures(dataset, tmp_path / "some", progress=False)
    assert len(again) == len(RatedPictures(tmp_path / "some")) == 24
    assert [path.name for path in tmp_path.iterdir()] == ["some"]


def test_a_picture_that_is_too_small_is_named(tmp_path):
    small = tf.data.Dataset.from_tensors(
        {
            "distorted_image": np.zeros((5, 60, 3), np.uint8),
            "quality": np.float32(0),
            "image_id": b"thumb.png",
        }
    )
    with pytest.raises(ValueError, match=r"'thumb\.png' is 5 x 60 pixels, and 48 x 48 are"):
        prepare_pictures(small, tmp_path / "small", progress=False)
    assert not list(tmp_path.iterdir())


def changed(folder, **columns):
    table = dict(np.load(folder / "table.npz"))
    np.savez(folder / "table.npz", **table | columns)


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "table.npz").write_bytes(b"PK"),
        lambda folder: np.savez(folder / "table.npz", quality=np.zeros(3)),
        lambda folder: changed(folder, quality=np.full(3, np.nan)),
        lambda folder: changed(folder, sizes=np.array([[1, -1]] * 3)),
        lambda folder: changed(folder, image_ids=np.array(["a"])),
        lambda folder: (folder / "pixels.float16").write_bytes(b"\0" * 8),
        lambda folder: (folder / "pixels.float16").unlink(),
    ],
)
def test_damaged_prepared_pictures_are_named(damage, dataset, tmp_path):
    prepare_pictures(dataset.take(3), tmp_path / "some", predictor="diqa", progress=False)
    damage(tmp_path / "some")
    with pytest.raises(ValueError, match=r"(table\.npz|pixels\.float16)' is .*: delete the folder"):
        RatedPictures(tmp_path / "some")


def test_an_empty_dataset_cannot_be_prepared(dataset, tmp_path):
    with pytest.raises(ValueError, match="nothing to prepare"):
        prepare_pictures(dataset.take(0), tmp_path / "none", progress=False)
    assert not (tmp_path / "none").exists()


def test_missing_pictures_are_named(prepared, tmp_path):
    with pytest.raises(FileNotFoundError, match="no prepared pictures"):
        RatedPictures(tmp_path)
    with pytest.raises(ValueError, match="'picture 99' is not one of the prepared"):
        prepared["extended"].rows_of(["picture 1", "picture 99"])


# Training


@pytest.mark.parametrize("recipe", [EXTENDED, DIQA], ids=["extended", "diqa"])
def test_a_run_that_was_stopped_ends_with_the_same_weights(
    recipe, train, undisturbed, tmp_path, monkeypatch
):
    whole = undisturbed[0][recipe.predictor]
    kind = "StatisticsTraining" if recipe is EXTENDED else "FeaturesTraining"
    batches = getattr(learning, kind).batches

    def stopped(step_2, epoch):
        if epoch == 2:
            raise KeyboardInterrupt
        return batches(step_2, epoch)

    with monkeypatch.context() as patch:
        patch.setattr(getattr(learning, kind), "batches", stopped)
        with pytest.raises(KeyboardInterrupt):
            train(recipe, tmp_path / "stopped")
    resumed = train(recipe, tmp_path / "stopped")
    assert resumed.history == whole.history
    for values, expected in zip(weights(resumed), weights(whole), strict=True):
        np.testing.assert_array_equal(values, expected)


def test_the_last_epoch_is_kept(undisturbed, prepared):
    trained = undisturbed[0]["extended"]
    pictures = prepared["extended"]
    predicted = trained.score_model.predict(pictures.extras[16:], verbose=0)[:, 0]
    deviation = pictures.quality[:16].std()
    error = np.mean(np.square((predicted - pictures.quality[16:]) / deviation))
    assert error == pytest.approx(trained.history["validation_loss"][-1], rel=1e-3)


def test_the_extended_predictor_learns(train, prepared, tmp_path):
    recipe = replace(EXTENDED, statistics=replace(EXTENDED.statistics, epochs=30))
    trained = train(recipe, tmp_path)
    predicted, errors = trained.predict(prepared["extended"]).T
    assert errors.min() > 0
    assert predicted.min() >= 0
    assert predicted.max() <= 1
    assert srcc(predicted[16:], prepared["extended"].quality[16:]) > 0.7


def test_diqa_learns(train, prepared, tmp_path):
    recipe = replace(DIQA, features=replace(DIQA.features, epochs=15))
    trained = train(recipe, tmp_path)
    assert trained.history["loss"][-1] < trained.history["loss"][0] / 2
    predicted, quality = trained.predict(prepared["diqa"])[:, 0], prepared["diqa"].quality
    assert srcc(predicted, quality) > 0.7
    # Scores of wholes are on the scale of the ratings, whatever those of mosaics were.
    assert predicted[:16].mean() == pytest.approx(quality[:16].mean(), abs=0.02)


def test_a_mosaic_has_a_crop_of_each_cell_of_the_grid():
    class Numbered:
        def normalized(self, row):
            return np.kron(np.arange(9).reshape(3, 3), np.ones((18, 20)))[..., np.newaxis]

    step_2 = learning.FeaturesTraining.__new__(learning.FeaturesTraining)
    step_2.pictures, step_2.settings = Numbered(), replace(DIQA.features, mirror=False)
    mosaic = step_2._mosaic(0, np.random.default_rng(0))
    expected = np.kron(np.arange(9).reshape(3, 3), np.ones((16, 16)))
    np.testing.assert_array_equal(mosaic[..., 0], expected)


def test_scores_are_in_the_order_of_copies_where_they_must(train, copies, tmp_path):
    def shortfall(weight):
        settings = replace(EXTENDED.statistics, epochs=20, copies_weight=weight)
        trained = train(replace(EXTENDED, statistics=settings), tmp_path / str(weight))
        rows = copies.statistics.reshape(-1, len(STATISTICS))
        quality = trained.score_model.predict(rows, verbose=0)[:, 0]
        better, worse = clear_pairs(copies, 0.35)[:500].T
        levels = np.maximum(np.diff(quality.reshape(-1, 6), axis=1), 0).sum()
        return levels, np.maximum(quality[worse] - quality[better], 0).sum()

    for with_copies, without in zip(shortfall(10.0), shortfall(0.0), strict=True):
        assert with_copies < without / 2


def test_what_a_run_lacks_is_said(train, prepared, tmp_path):
    with pytest.raises(ValueError, match="needs copies of pictures that get worse"):
        train(EXTENDED, tmp_path / "1", copies=None)
    with pytest.raises(ValueError, match="at least two pristine pictures"):
        train(DIQA, tmp_path / "2", pristine=[])
    with pytest.raises(ValueError, match="'picture 1' is in training and in validation"):
        train(EXTENDED, tmp_path / "3", training=["picture 1"], validation=["picture 1"])
    with pytest.raises(ValueError, match=r"2 picture\(s\) to train on do not fill a batch of 8"):
        train(EXTENDED, tmp_path / "4", training=["picture 1", "picture 2"])
    with pytest.raises(ValueError, match="no picture for validation"):
        train(EXTENDED, tmp_path / "5", validation=[])
    large = replace(DIQA, features=replace(DIQA.features, crop_size=20))
    with pytest.raises(ValueError, match=r"'picture 0' is 56 x 64 .* 60 x 60 .*lower crop_size"):
        train(large, tmp_path / "6")
    constant = replace_quality(prepared["extended"], 0.5)
    with pytest.raises(ValueError, match="All 16 pictures to train on have the same rating"):
        train_on_ratings(
            EXTENDED,
            constant,
            training=constant.image_ids.tolist()[:16],
            validation=constant.image_ids.tolist()[16:],
            folder=tmp_path / "7",
        )
    assert not list(tmp_path.iterdir())  # no folder was claimed


def replace_quality(pictures, value):
    changed = copy.copy(pictures)
    changed.quality = np.full_like(pictures.quality, value)
    return changed


@pytest.mark.parametrize("recipe", [EXTENDED, DIQA], ids=["extended", "diqa"])
def test_what_was_learnt_from_something_else_is_not_used(
    recipe, train, undisturbed, prepared, tmp_path
):
    """Other ratings, pictures of validation, worse copies or pristine pictures, in one folder."""
    trained, folder = undisturbed
    ids = prepared["extended"].image_ids.tolist()
    rng = np.random.default_rng(5)
    pristine = [rng.integers(0, 256, (256, 256, 3), dtype=np.uint8) for _ in range(3)]
    fewer = WorseCopies(*(values[1:] for values in vars(train.copies).values()))
    changes = [{"training": ids[8:24], "validation": ids[:8]}, {"copies": fewer}]
    changes = changes if recipe is EXTENDED else [{"pristine": pristine}]
    before = trained[recipe.predictor]
    for change in changes:
        shared = train(recipe, folder / recipe.predictor, **change)
        assert shared.history != before.history
        before = shared
    expected = train(recipe, tmp_path / "own", **changes[-1])
    assert shared.history == expected.history
    for values, same in zip(weights(shared), weights(expected), strict=True):
        np.testing.assert_array_equal(values, same)
