"""The search for better settings: spaces, trials, stops and kills, and what it must not see."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import made_up
import numpy as np
import optuna
import pytest
from PIL import Image
from typer.testing import CliRunner

from diqa_utils.cli import app
from diqa_utils.ratings import search as searching
from diqa_utils.ratings.protocol import DatabasePart
from diqa_utils.ratings.recipe import RatingsRecipe
from diqa_utils.ratings.runs import RatingsRun, deal_out
from diqa_utils.ratings.search import SearchSpace, search
from tests.ratings import search_process

SPACE = {
    "seed": 3,
    "statistics": {
        "epochs": 4,
        "batch_size": 8,
        "copies_weight": 0,
        "units": 8,
        "learning_rate": {"from": 1e-5, "to": 1e-2, "log": True},
        "dropout": {"one_of": [0, 0.1, 0.3]},
    },
}


def space(**statistics):
    return SearchSpace.from_json(
        json.dumps(SPACE | {"statistics": SPACE["statistics"] | statistics})
    )


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A hundred pictures in train, the rougher the better, and some in test.

    Those that are dealt to calibration, and those in test, are too small for anything.
    """
    folder = tmp_path_factory.mktemp("own")
    names = [f"p{number}.png" for number in range(100)]
    table = {"image_id": np.array(names), "reference_id": np.array(names)}
    unseen = {*deal_out(table)["calibration"].tolist(), "test0.png", "test1.png"}
    rng = np.random.default_rng(0)
    rows = [["image", "score", "split"]]
    for number, name in enumerate([*names, "test0.png", "test1.png"]):
        roughness = number * 7 % 100 / 99
        shape = (20, 20, 3) if name in unseen else (56, 64, 3)
        pixels = np.clip(rng.normal(128, 4 + 40 * roughness, shape), 0, 255)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / name)
        rows.append([name, f"{roughness:.3f}", "test" if "test" in name else "train"])
    made_up.write_csv(folder, "scores.csv", rows)
    return folder


@pytest.fixture(scope="module")
def part(own):
    return DatabasePart("folder_iqa", "train", own / "built", own)


@pytest.fixture
def quick(monkeypatch):
    """Trials that train nothing: the nearer the learning rate to 1e-3, the better they agree."""
    monkeypatch.setattr(searching, "train_on_part", search_process.train)
    monkeypatch.setattr(searching, "check_pictures", lambda *_: None)  # takes the most time
    return search_process


def finished(study):
    return [
        (trial.params, trial.value, trial.intermediate_values)
        for trial in study.trials
        if trial.state.name in ("COMPLETE", "PRUNED")
    ]


def states(study):
    return Counter(trial.state.name for trial in study.trials)


# Spaces


def test_a_space_is_a_recipe_with_ranges():
    text = """{"predictor": "diqa", "error_maps": {"epochs": 2, "patches":
        {"from": 8, "to": 32}, "alpha": {"from": 1, "to": 255, "log": true}},
        "features": {"mirror": {"one_of": [true, false]}, "crops": {"from": 1, "to": 3}}}"""
    space = SearchSpace.from_json(text)
    drawn = {
        "error_maps.patches": 12,
        "error_maps.alpha": 51.0,
        "features.mirror": False,
        "features.crops": 2,
    }
    assert list(space.ranges) == list(drawn)
    recipe = space.draw(optuna.trial.FixedTrial(drawn))
    assert (recipe.error_maps.patches, recipe.error_maps.alpha) == (12, 51.0)
    assert (recipe.features.mirror, recipe.features.crops) == (False, 2)
    assert recipe.error_maps.epochs == 2
    assert space.recipe({}).error_maps.patches == RatingsRecipe().error_maps.patches

    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    recipes = [space.draw(study.ask()) for _ in range(60)]
    assert {recipe.error_maps.patches for recipe in recipes} == set(range(8, 33, 4))
    assert {recipe.features.crops for recipe in recipes} == {1, 2, 3}
    assert sum(recipe.error_maps.alpha < 16 for recipe in recipes) == pytest.approx(30, abs=10)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("{", "'space.json' is not a recipe to search: The recipe is not JSON"),
        ("[]", "the recipe must be an object with settings"),
        ("{}", 'no setting of a group is a range: write {"from": 0.25, "to": 4, "log": true} or'),
        ({"seed": {"one_of": [1, 2]}}, "seed in the recipe must be a whole number"),
        ({"speed": {"one_of": [1, 2]}}, "the recipe has no setting 'speed'"),
        ({"statistics": {"speed": {"one_of": [1, 2]}}}, "statistics has no setting 'speed'"),
        ({"statistics": {"epochs": {"from": 0, "to": 9}}}, "epochs in statistics must be a whole"),
        ({"statistics": {"epochs": {"from": 1, "to": 2.5}}}, "number from 1 to 100000, not 2.5"),
        (
            {"statistics": {"dropout": {"one_of": [0.1, "a"]}}},
            "dropout in statistics must be a num",
        ),
        ({"statistics": {"epochs": {"one_of": []}}}, "with two values or more"),
        ({"statistics": {"epochs": {"one_of": [3, 3]}}}, "with two values or more"),
        (
            {"statistics": {"epochs": {"from": 3, "to": 3}}},
            "with two values or more, the lower end first",
        ),
        ({"statistics": {"epochs": {"from": 3}}}, r"epochs cannot be {\"from\": 3}: write"),
        ({"statistics": {"epochs": {"one_of": 3}}}, r"epochs cannot be {\"one_of\": 3}: write"),
        (
            {"statistics": {"dropout": {"from": 0, "to": 0.5, "log": True}}},
            "and log only above zero",
        ),
        (
            {"statistics": {"dropout": {"from": 0.1, "to": 0.5, "log": 3}}},
            "dropout cannot be .*: write",
        ),
        (
            {"predictor": "diqa", "error_maps": {"patches": {"from": 4, "to": 8, "log": True}}},
            "without fixed steps",
        ),
        (
            {"predictor": "diqa", "features": {"mirror": {"from": False, "to": True}}},
            "features.mirror cannot be",
        ),
        (
            {"error_maps": {"alpha": {"from": 1, "to": 2}}},
            "error_maps.alpha has no part in the score of 'extended': search in statistics",
        ),
    ],
)
def test_a_wrong_space_is_refused_in_a_sentence(settings, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = settings if isinstance(settings, str) else json.dumps(settings)
    Path("space.json").write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        SearchSpace.from_file("space.json")
    assert "\n" not in str(caught.value)


# Trials


def test_one_seed_gives_one_result_and_hopeless_trials_are_pruned(quick, part, tmp_path):
    one, two = (
        search(space(), part, trials=12, folder=tmp_path / name, progress=False)
        for name in ("one", "two")
    )
    assert finished(one) == finished(two)
    assert states(one) == {"COMPLETE": states(one)["COMPLETE"], "PRUNED": states(one)["PRUNED"]}
    pruned = [trial for trial in one.trials if trial.state.name == "PRUNED"]
    assert len(pruned) > 2
    assert {len(trial.intermediate_values) for trial in pruned} == {3}
    assert all(trial.number >= 5 for trial in pruned)
    assert one.best_params["statistics.learning_rate"] == pytest.approx(1e-3, rel=0.5)
    best = RatingsRecipe.from_file(tmp_path / "one" / "best.json")
    assert best == space().recipe(one.best_params)
    kept = json.loads((tmp_path / "one" / "trials.json").read_text())["trials"]
    assert [trial["settings"] for trial in kept] == [trial.params for trial in one.trials]
    left = sorted(path.name for path in (tmp_path / "one" / "trials").iterdir())
    assert left == [f"{trial.number:04}" for trial in one.trials if trial not in pruned]
    other = search(
        SearchSpace(space().settings | {"seed": 4}, space().ranges),
        part,
        trials=2,
        folder=tmp_path / "other",
        progress=False,
    )
    assert finished(other) != finished(one)[:2]
    more = search(space(), part, trials=13, folder=tmp_path / "one", progress=False)
    assert finished(more)[:12] == finished(two)
    assert len(finished(more)) == 13
    assert finished(search(space(), part, trials=9, folder=tmp_path / "one")) == finished(more)


def test_scores_that_agree_with_nothing_are_pruned_at_once(part, tmp_path, monkeypatch):
    for name, value in (("flat", 0.5), ("lost", np.nan)):

        def constant(*arguments, after_epoch, value=value, **settings):
            arguments[4].mkdir(parents=True)
            after_epoch(1, np.full(10, value))

        monkeypatch.setattr(searching, "train_on_part", constant)
        study = search(space(), part, trials=1, folder=tmp_path / name, progress=False)
        assert states(study) == {"PRUNED": 1}
        assert not (tmp_path / name / "best.json").exists()


def test_another_search_in_the_same_storage_is_refused(quick, part, tmp_path):
    storage = tmp_path / "shared" / "search.db"
    place = {"trials": 1, "storage": storage, "progress": False}
    search(space(), part, folder=tmp_path / "one", **place)
    cases = {
        "epochs (4 there, 5 here)": (space(epochs=5), {}),
        "statistics.dropout": (space(dropout={"one_of": [0, 0.5]}), {}),
        "objective ('srcc' there, 'plcc' here)": (space(), {"objective": "plcc"}),
    }
    for words, (other, settings) in cases.items():
        with pytest.raises(ValueError, match="belongs to another run") as caught:
            search(other, part, folder=tmp_path / "two", **place, **settings)
        assert f"differs in {words}" in str(caught.value)
        assert "take another file" in str(caught.value)
    with pytest.raises(ValueError, match="'klout' and 1"):
        search(space(), part, folder=tmp_path / "two", objective="klout", **place)
    (tmp_path / "text").write_text("no database" * 100)
    with pytest.raises(ValueError, match=r"text' is not the storage of a search"):
        search(space(), part, folder=tmp_path / "two", **place | {"storage": tmp_path / "text"})


def test_recipes_that_the_pictures_cannot_fill_are_refused_before_any_trial(part, tmp_path):
    wide = space(batch_size={"one_of": [8, 81]})
    with pytest.raises(ValueError, match=r"80 picture\(s\) to train on do not fill a batch of 81"):
        search(wide, part, trials=1, folder=tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_step_1_is_shared_unless_it_is_searched(quick, part, tmp_path):
    diqa = {"predictor": "diqa", "features": {"batch_size": 8, "crop_size": 16}}
    steps = {"error_maps": {"epochs": 0, "alpha": {"from": 1, "to": 255, "log": True}}}
    rates = {
        "error_maps": {"epochs": 0},
        "features": diqa["features"] | {"head_learning_rate": {"from": 1e-4, "to": 1e-2}},
    }
    for name, more, own_folder in (("steps", steps, True), ("rates", rates, False)):
        one = SearchSpace.from_json(json.dumps(diqa | more))
        search(one, part, trials=1, folder=tmp_path / name, progress=False)
        place, pictures, error_maps = quick.places[-1]
        assert place == tmp_path / name / "trials" / "0000"
        root = place if own_folder else tmp_path / name
        assert (pictures, error_maps) == (root / "pictures", root)


# Stops, kills, and two processes


def test_a_search_that_was_stopped_goes_on(quick, own, part, tmp_path, monkeypatch):
    (tmp_path / "space.json").write_text(json.dumps(SPACE))
    command = [
        *("search", tmp_path / "space.json", "--database", "folder_iqa", "--trials", 9),
        *("--manual-dir", own, "--data-dir", own / "built", "--folder", tmp_path / "run"),
    ]
    with monkeypatch.context() as patch:
        patch.setattr(quick, "stop_at", (7, 2, signal.SIGTERM))
        stopped = CliRunner().invoke(app, list(map(str, command)))
    assert stopped.exit_code == 128 + signal.SIGTERM, stopped.output
    assert "Stopped: the same command goes on." in stopped.output
    kept = json.loads((tmp_path / "run" / "trials.json").read_text())["trials"]
    assert [trial["state"] for trial in kept[7:]] == ["fail"]
    assert (tmp_path / "run" / "best.json").exists()
    done = CliRunner().invoke(app, list(map(str, command)))
    assert done.exit_code == 0, done.output
    assert "statistics.learning_rate  statistics.dropout\n" in done.output
    assert f"The best recipe is in {tmp_path / 'run' / 'best.json'}" in done.output
    again = search(space(), part, trials=9, folder=tmp_path / "run", progress=False)
    assert len(finished(again)) == 9
    assert states(again)["FAIL"] == 1


def test_two_processes_share_a_search_and_one_that_is_killed_loses_nothing(own, part, tmp_path):
    (tmp_path / "space.json").write_text(json.dumps(SPACE))
    script = [sys.executable, search_process.__file__, tmp_path, own]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    processes = {}
    try:
        for name in ("lost", "left"):
            command = [*map(str, script), name]
            processes[name] = subprocess.Popen(command, env=environment)
        until(lambda: (tmp_path / "hangs").exists(), processes)
        processes["lost"].kill()
        processes["lost"].wait(30)
        (tmp_path / "killed").touch()
        assert processes["left"].wait(300) == 0
    finally:
        for process in processes.values():
            process.kill()
            process.wait(30)
    study = optuna.load_study(study_name="search", storage=f"sqlite:///{tmp_path / 'search.db'}")
    count = states(study)
    assert count["COMPLETE"] + count["PRUNED"] == search_process.TRIALS
    (lost,) = (trial for trial in study.trials if trial.state.name == "FAIL")
    (again,) = (t for t in study.trials if t.user_attrs["first"] == lost.number != t.number)
    assert again.params == lost.params
    assert len(lost.intermediate_values) == 2
    workers = (tmp_path / "workers").read_text().split()
    assert workers.count("lost") == 2  # a trial that it finished, and the one that it hung in
    assert workers.count("left") == search_process.TRIALS - 2  # the lost one goes on in epoch 2
    assert len({tuple(trial.params.values()) for trial in study.trials}) == len(study.trials) - 1


def until(condition, processes, seconds=300):
    """Waits for something that a process does; fails if one ends before, or it takes too long."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "It took too long."
        assert all(process.poll() is None for process in processes.values()), "One has ended."
        time.sleep(0.05)


# Whole searches


def test_pictures_for_calibration_and_tests_are_not_looked_at(own, part, tmp_path):
    settings = SPACE | {"statistics": {"batch_size": 8}, "error_maps": {"epochs": 0}}
    recipe = RatingsRecipe.from_json(json.dumps(settings))
    with pytest.raises(ValueError, match="is 20 x 20 pixels, and 48 x 48 are needed"):
        RatingsRun(part, str(tmp_path / "train")).train(recipe, progress=False)
    (tmp_path / "space.json").write_text(json.dumps(SPACE))
    command = [
        *("search", tmp_path / "space.json", "--database", "folder_iqa", "--trials", 2),
        *("--manual-dir", own, "--data-dir", own / "built", "--folder", tmp_path / "run"),
        *("--storage", tmp_path / "trials.db", "--objective", "plcc"),
    ]
    done = CliRunner().invoke(app, list(map(str, command)))
    assert done.exit_code == 0, done.output
    kept = json.loads((tmp_path / "run" / "trials.json").read_text())
    assert kept["made_of"]["objective"] == "plcc"
    assert [trial["state"] for trial in kept["trials"]] == ["complete"] * 2
    best = RatingsRecipe.from_file(tmp_path / "run" / "best.json")
    assert best.statistics.units == 8
    assert best.error_maps == RatingsRecipe().error_maps  # left to the training
    for trial in kept["trials"]:
        assert trial["value"] == pytest.approx(trial["by_epoch"]["4"], abs=0.05)
        assert f"{trial['value']:.4f}" in done.output


def test_only_training_and_validation_pictures_reach_a_trial(quick, part, tmp_path):
    search(space(), part, trials=1, folder=tmp_path, progress=False)
    seen, ids = quick.seen[-1]
    dealt = deal_out(part.table())
    wanted = {*dealt["train"].tolist(), *dealt["validation"].tolist()}
    assert set(ids) == {"train", "validation"}
    assert set(seen.table()["image_id"].tolist()) == wanted
    loaded = [example["image_id"].decode() for example in seen.load().as_numpy_iterator()]
    assert set(loaded) == wanted


def test_without_optuna_the_extra_is_named(part, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ImportError, match=r'pip install "diqa-utils\[search\]"'):
        search(space(), part, trials=1, folder=tmp_path / "run", progress=False)
