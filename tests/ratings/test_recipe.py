"""Recipes of training runs, and how JSON becomes one."""

import json

import pytest

from diqa_utils.ratings.recipe import ErrorMapSettings, FeaturesSettings, RatingsRecipe


def test_a_recipe_is_read_as_it_was_written():
    recipe = RatingsRecipe(
        predictor="diqa", seed=3, error_maps=ErrorMapSettings(epochs=1, learning_rate=2e-4)
    )
    assert RatingsRecipe.from_json(recipe.to_json()) == recipe
    assert json.loads(recipe.to_json())["error_maps"]["learning_rate"] == 2e-4


def test_what_a_recipe_leaves_out_is_as_by_default():
    recipe = RatingsRecipe.from_json('{"seed": 2, "features": {"epochs": 1, "weight_decay": 0}}')
    assert recipe == RatingsRecipe(seed=2, features=FeaturesSettings(epochs=1, weight_decay=0.0))
    assert isinstance(recipe.features.weight_decay, float)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "must be an object with settings"),
        ('{"sead": 1}', "has no setting 'sead'; it has predictor, seed"),
        ('{"seed": "1"}', "seed in the recipe must be a whole number, not '1'"),
        ('{"seed": true}', "seed in the recipe must be a whole number, not True"),
        ('{"seed": -1}', "seed must be zero or more, not -1"),
        ('{"predictor": "niqe"}', "predictor must be diqa or extended, not 'niqe'"),
        ('{"features": {"epochs": 1.5}}', "epochs in features must be a whole number, not 1.5"),
        ('{"features": {"mirror": 1}}', "mirror in features must be true or false, not 1"),
        ('{"features": 3}', "features must be an object with settings, not 3"),
    ],
)
def test_a_wrong_recipe_is_refused_in_a_sentence(text, message):
    with pytest.raises(ValueError, match=message):
        RatingsRecipe.from_json(text)
