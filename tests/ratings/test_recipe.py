"""Recipes of training runs, and how JSON becomes one."""

import json
import math
from dataclasses import asdict, fields

import pytest

from diqa_utils.ratings.recipe import (
    ErrorMapSettings,
    FeaturesSettings,
    RatingsRecipe,
    StatisticsSettings,
)

GROUPS = {
    None: RatingsRecipe,
    "error_maps": ErrorMapSettings,
    "statistics": StatisticsSettings,
    "features": FeaturesSettings,
}
NUMBERS = [
    (group, entry)
    for group, kind in GROUPS.items()
    for entry in fields(kind)
    if type(entry.default) in (int, float)
]


def test_a_recipe_is_read_as_it_was_written():
    recipe = RatingsRecipe(
        predictor="diqa", seed=3, error_maps=ErrorMapSettings(epochs=1, learning_rate=2e-4)
    )
    assert RatingsRecipe.from_json(json.dumps(asdict(recipe))) == recipe


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
        (
            '{"seed": "1"}',
            "seed in the recipe must be a whole number from 0 to 2147483647, not '1'",
        ),
        (
            '{"seed": true}',
            "seed in the recipe must be a whole number from 0 to 2147483647, not True",
        ),
        ('{"seed": -1}', "seed in the recipe must be a whole number from 0 to 2147483647, not -1"),
        ('{"error_maps": {"patches": 6}}', "patches in error_maps must be a multiple of 4 from 4"),
        ('{"features": ' * 3000, "not JSON"),
        ('{"seed": ' + "9" * 5000 + "}", "not JSON"),
        ('{"predictor": [%s]}' % ("1," * 3000 + "1"), "must be text, not .{1,60}$"),
        ('{"predictor": "niqe"}', "predictor must be diqa or extended, not 'niqe'"),
        (
            '{"features": {"epochs": 1.5}}',
            "epochs in features must be a whole number from 1 to 100000, not 1.5",
        ),
        ('{"features": {"mirror": 1}}', "mirror in features must be true or false, not 1"),
        ('{"features": 3}', "features must be an object with settings, not 3"),
    ],
)
def test_a_wrong_recipe_is_refused_in_a_sentence(text, message):
    with pytest.raises(ValueError, match=message):
        RatingsRecipe.from_json(text)


def test_every_number_of_a_recipe_has_a_range():
    assert len(NUMBERS) == 35
    assert all(entry.metadata for _, entry in NUMBERS)


@pytest.mark.parametrize(("group", "entry"), NUMBERS, ids=lambda value: getattr(value, "name", ""))
def test_numbers_outside_their_range_are_refused_and_its_ends_are_not(group, entry):
    def recipe(value):
        settings = {entry.name: value}
        return RatingsRecipe.from_json(json.dumps({group: settings} if group else settings))

    lowest, highest = (entry.metadata[name] for name in ("lowest", "highest"))
    step = entry.metadata["multiple_of"] if isinstance(entry.default, int) else 1e-9
    for value in (lowest, highest, entry.default):
        recipe(value)
    huge = 10**400
    for value in (lowest - step, highest + step * 1e3, -huge, huge, math.nan, math.inf, True, "1"):
        with pytest.raises(ValueError, match=rf"^{entry.name} in .* from \S+ to \S+, not "):
            recipe(value)
        with pytest.raises(ValueError, match=rf"^{entry.name} in .* from \S+ to \S+, not "):
            GROUPS[group](**{entry.name: value})
