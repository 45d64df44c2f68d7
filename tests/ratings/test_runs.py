"""Whole runs: parts, intervals, and the command line from a database to a predictor."""

import io
import json
import math
import os
import re
import shutil
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import made_up
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from diqa_utils._internal.files import locked
from diqa_utils.cli import app
from diqa_utils.distortions import DISTORTIONS
from diqa_utils.inference import load_predictor
from diqa_utils.models import build_error_map_model, build_score_model
from diqa_utils.predictors import DiqaPredictor
from diqa_utils.ratings import runs
from diqa_utils.ratings.protocol import DatabasePart
from diqa_utils.ratings.recipe import RatingsRecipe
from diqa_utils.ratings.runs import RatingsRun, conformal_half_width, deal_out, load_run
from tests.fuzz.run_files import READERS, damage, make_run

RECIPE = {
    "error_maps": {"epochs": 0},
    "statistics": {"epochs": 3, "batch_size": 8, "copied_pictures": 2, "copies_batch_size": 2},
    "features": {"epochs": 1, "batch_size": 4, "crop_size": 16},
}


@pytest.fixture
def run(tmp_path):
    """Calls the command line in a folder where `recipe.json` lies."""
    (tmp_path / "recipe.json").write_text(json.dumps(RECIPE))

    def run(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return run


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Sixty pictures, the rougher the better, rated from 1 to 5; without references."""
    folder = tmp_path_factory.mktemp("mes images à moi")
    rng = np.random.default_rng(0)
    rows = [["image", "score"]]
    for number in range(60):
        roughness = number * 7 % 60 / 59
        texture = 128 + rng.normal(0, 4 + 40 * roughness, (56, 64, 3))
        picture = Image.fromarray(np.clip(texture, 0, 255).astype(np.uint8))
        picture.save(folder / f"p{number}.png")
        rows.append([f"p{number}.png", f"{1 + 4 * roughness:.3f}"])
    made_up.write_csv(folder, "scores.csv", rows)
    return folder


@pytest.fixture
def settings(own, tmp_path):
    place = ("--manual-dir", own, "--data-dir", tmp_path / "built", "--scale", 1, 5)
    return ("--database", "folder_iqa", *place)


def sentence(done):
    assert done.exit_code == 1, done.output
    assert "Traceback" not in done.output
    return done.output


# Parts


def table(ids, references=None):
    ids = np.array(ids)
    return {"image_id": ids, "reference_id": ids if references is None else np.array(references)}


def test_pictures_without_references_are_set_aside_by_a_fixed_rule():
    parts = deal_out(table([f"p{number}" for number in range(5500)]))
    assert {name: len(ids) for name, ids in parts.items()} == {
        "train": 4500,
        "validation": 500,
        "calibration": 500,
    }
    few = deal_out(table([f"p{number}" for number in range(40)]))
    assert [len(few[name]) for name in ("train", "validation", "calibration")] == [32, 4, 4]


def test_pictures_with_references_are_dealt_by_reference():
    references = [f"r{number % 20}" for number in range(100)]
    parts = deal_out(table([f"p{number}" for number in range(100)], references))
    assert [len(parts[name]) for name in ("train", "validation", "calibration")] == [80, 10, 10]
    of = dict(zip([f"p{number}" for number in range(100)], references, strict=True))
    seen = [{of[name] for name in ids} for ids in parts.values()]
    assert sum(map(len, seen)) == len(set.union(*seen)) == 20


# Intervals


def test_the_interval_is_the_kth_smallest_error():
    predicted, quality = np.zeros(19), np.arange(1, 20) / 100
    assert conformal_half_width(predicted, quality, 0.9) == pytest.approx(0.18)
    assert conformal_half_width(predicted[::-1], -quality[::-1], 0.5) == pytest.approx(0.10)


def test_intervals_hold_what_they_promise():
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(300):
        errors = rng.standard_t(4, size=700)
        half = conformal_half_width(np.zeros(500), errors[:500], 0.9)
        shares.append(np.mean(np.abs(errors[500:]) <= half))
    assert np.mean(shares) == pytest.approx(0.9, abs=0.005)


def test_impossible_intervals_are_refused():
    with pytest.raises(ValueError, match=r"8 picture\(s\) are too few"):
        conformal_half_width(np.zeros(8), np.ones(8), 0.9)
    with pytest.raises(ValueError, match=r"confidence 1\.0 is not between"):
        conformal_half_width(np.zeros(9), np.ones(9), 1.0)


# The command line


@pytest.fixture
def patient(monkeypatch):
    """Six pictures are too few for an interval of 90 %."""
    monkeypatch.setattr("diqa_utils.ratings.runs.CONFIDENCE", 0.7)


@pytest.mark.usefixtures("patient")
def test_train_resume_and_evaluate(run, settings, own, tmp_path, monkeypatch):
    folder, pristine = tmp_path / "run", tmp_path / "pristine"
    for number in range(2):
        made_up.write(pristine, f"{number}.png", made_up.picture(number, "png", (256, 256)))
    place = ("--pristine", pristine, "--folder", folder)
    trained = run("train", tmp_path / "recipe.json", *settings, *place)
    assert trained.exit_code == 0, trained.output
    assert "526,348 parameters" in trained.output
    card = load_predictor(folder / "predictor").card
    assert card["copies"]["pictures"] == 1
    assert set(card["copies"]["levels_by_kind"]) == set(DISTORTIONS)
    assert len(card["validation"]["inside_interval_by_third"]) == 3
    assert card["pictures"] == {"train": 48, "validation": 6, "calibration": 6}
    assert card["usual"] is None  # too few to know what is usual
    assert card["recipe"]["statistics"]["epochs"] == 3
    assert f"SRCC {card['validation']['agreement']['srcc']['value']:.4f}" in trained.output

    weights = (folder / "predictor" / "weights.npz").read_bytes()
    monkeypatch.chdir(tmp_path)  # whoever resumes may stand elsewhere
    resumed = run("resume", "run")
    assert resumed.exit_code == 0, resumed.output
    assert (folder / "predictor" / "weights.npz").read_bytes() == weights
    other = run("train", tmp_path / "recipe.json", "--database", "sample_iqa", "--folder", folder)
    assert "belongs to another run, which differs in database ('folder_iqa' there" in sentence(
        other
    )
    loaded, recipe = load_run(folder)
    assert loaded.part.options == {"scale": [1.0, 5.0]}
    assert recipe.statistics.copied_pictures == 2

    output = tmp_path / "tables" / "own"
    done = run("evaluate", *settings, "--predictor", folder, "--output", output)
    assert done.exit_code == 0, done.output
    measured = json.loads(output.with_suffix(".json").read_text())["measured"][0]
    assert measured["method"] == "extended, trained on folder_iqa, some of these pictures too"
    assert measured["rows"][0]["images"] == 60
    assert output.with_suffix(".md").read_text().strip() in done.output

    predictor = load_predictor(folder / "predictor")
    score = predictor.score(own / "p3.png")
    assert score.low <= score <= score.high
    assert math.isclose(score.confidence, 0.7)

    place = ("--sources", "Made up by the test.")
    done = run("export-weights", folder, tmp_path / "weights" / "mine", *place)
    assert done.exit_code == 0, done.output
    assert load_predictor(tmp_path / "weights" / "mine").score(own / "p3.png") == score
    text = (tmp_path / "weights" / "mine" / "README.md").read_text()
    assert text.startswith("# Model card: mine\n")
    assert f"SRCC {card['validation']['agreement']['srcc']['value']:.3f}" in text
    assert "Made up by the test." in text
    assert "48 pictures" in text


def test_only_what_was_trained_and_measured_has_a_model_card(run, tmp_path):
    DiqaPredictor(build_score_model(), build_error_map_model()).save(tmp_path / "untrained")
    for name, words in (("untrained", "`diqa train` has trained"), ("nothing", "no predictor")):
        done = run("export-weights", tmp_path / name, tmp_path / "weights")
        assert words in " ".join(sentence(done).split())
    assert not (tmp_path / "weights").exists()


@pytest.mark.usefixtures("patient", "learnt")
def test_a_run_that_was_stopped_while_preparing_can_go_on(run, settings, tmp_path, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr("diqa_utils.ratings.runs.prepare_pictures", stopped)
        done = run("train", tmp_path / "recipe.json", *settings, "--folder", folder)
    assert done.exit_code != 0
    assert isinstance(run("resume", folder).exception, ReadyToLearn)


@pytest.mark.parametrize(
    ("sizes", "words"),
    [([64] * 5, "has 5 images; it needs 6 or more"), ([64] * 5 + [40], "'p5.png': .*48 x 48")],
)
def test_what_cannot_be_evaluated_is_said_with_its_name(run, tmp_path, sizes, words):
    rows = [["image", "score"]]
    for number, size in enumerate(sizes):
        made_up.write(tmp_path / "own", f"p{number}.png", made_up.picture(9, "png", (size, size)))
        rows.append([f"p{number}.png", number / 10])
    made_up.write_csv(tmp_path / "own", "scores.csv", rows)
    place = ("--manual-dir", tmp_path / "own", "--data-dir", tmp_path / "built")
    done = run("evaluate", "--database", "folder_iqa", *place)
    assert re.search(words, sentence(done))


@pytest.fixture
def small(monkeypatch):
    """Two convolutions in place of eight."""
    monkeypatch.setattr("diqa_utils.models.CONVOLUTIONS", ((8, 2), (128, 2)))


@pytest.mark.usefixtures("small")
def test_the_protocol_trains_and_tests_several_times(run, tmp_path):
    own = made_up_references(tmp_path / "own")
    (tmp_path / "recipe.json").write_text(json.dumps(RECIPE | {"predictor": "diqa"}))
    place = ("--manual-dir", own, "--data-dir", tmp_path / "built")
    done = run(
        *("evaluate", "--database", "folder_iqa", *place, "--repeats", 2),
        *("--recipe", tmp_path / "recipe.json", "--folder", tmp_path / "protocol"),
        *("--output", tmp_path / "table"),
    )
    assert done.exit_code == 0, done.output
    results = json.loads((tmp_path / "table.json").read_text())["measured"]
    assert [result["method"] for result in results] == ["diqa", "PSNR", "SSIM"]
    assert results[1]["rows"][0]["srcc"]["value"] > 0.9  # noise is easy to see for PSNR
    kept = sorted(path.name for path in (tmp_path / "protocol").glob("run-*"))
    assert kept == ["run-001", "run-002"]


def made_up_references(folder):
    """Six textures, each at six levels of noise."""
    rng = np.random.default_rng(0)
    rows = [["image", "score", "reference", "distortion", "level"]]
    for number in range(6):
        clean = np.kron(rng.integers(60, 200, (8, 8, 3)), np.ones((8, 8, 1)))
        made_up.write(folder, f"r{number}.png", encoded(clean))
        for level in range(6):
            name = f"r{number}-{level}.png"
            noisy = clean + rng.normal(0, 2 + 6 * level, clean.shape)
            made_up.write(folder, name, encoded(noisy))
            rows.append([name, f"{1 - level / 5:.2f}", f"r{number}.png", "noise", level])
    made_up.write_csv(folder, "scores.csv", rows)
    return folder


def encoded(values):
    file = io.BytesIO()
    Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).save(file, "png")
    return file.getvalue()


# What a run depends on


class ReadyToLearn(Exception):
    """Stands for all that comes after the pictures were prepared."""


@pytest.fixture
def learnt(monkeypatch):
    """Lets runs end where training would begin, and keeps what they would have learnt from."""
    kept = []

    def learn(recipe, pictures, **settings):
        kept.append((pictures, settings))
        raise ReadyToLearn

    monkeypatch.setattr("diqa_utils.ratings.runs.train_on_ratings", learn)
    return kept


def begin(part, folder, recipe=RECIPE, **settings):
    run = RatingsRun(part, str(folder), **settings)
    with pytest.raises(ReadyToLearn):
        run.train(RatingsRecipe.from_json(json.dumps(recipe)), progress=False)


def own_part(own, folder, scores="scores.csv", split="rated", **options):
    options = {"scale": (1, 5), "scores": scores} | options
    return DatabasePart("folder_iqa", split, folder / "built", own, options=options)


def with_scores(own, folder, change):
    """A copy of the folder whose scores are changed, line by line."""
    copy = shutil.copytree(own, folder)
    header, *lines = (own / "scores.csv").read_text().split()
    lines = [change(*line.split(",")) for line in lines]
    (copy / "scores.csv").write_text("\n".join([header, *lines]) + "\n")
    return copy


def turned(name, score):
    return f"{name},{6 - float(score):.3f}"


@pytest.mark.usefixtures("patient")
def test_what_was_prepared_of_other_ratings_or_options_is_not_used(own, learnt, tmp_path):
    other = with_scores(own, tmp_path / "turned", turned)
    parts = [
        own_part(own, tmp_path),
        own_part(other, tmp_path),
        own_part(own, tmp_path, scale=(0, 10)),
        own_part(own, tmp_path),
    ]
    for number, part in enumerate(parts):
        begin(part, tmp_path / f"run {number}", pictures=str(tmp_path / "shared"))
        pictures, settings = learnt[-1]
        np.testing.assert_array_equal(pictures.quality, np.float32(part.table()["quality"]))
        assert settings["copies"].statistics.shape == (2, 6, 448)
    names = [path.name.split("-")[0] for path in (tmp_path / "shared").iterdir()]
    assert (names.count("extended"), names.count("copies")) == (3, 3)


@pytest.mark.usefixtures("patient")
def test_what_was_prepared_of_other_pictures_or_settings_is_not_used(own, learnt, tmp_path):
    shared = {"pictures": str(tmp_path / "shared")}
    begin(own_part(own, tmp_path), tmp_path / "run 1", **shared)
    other = shutil.copytree(own, tmp_path / "other")
    shutil.copy(other / "p59.png", other / "p0.png")  # the table stays as it is
    begin(own_part(other, tmp_path), tmp_path / "run 2", **shared)
    extras = [pictures.extras for pictures, _ in learnt]
    assert np.any(extras[0] != extras[1], axis=1).sum() == 1
    for alpha in (1.0, 5.0):
        recipe = RECIPE | {"predictor": "diqa", "error_maps": {"epochs": 0, "alpha": alpha}}
        begin(own_part(own, tmp_path), tmp_path / f"run {alpha}", recipe, **shared)
    assert np.any(learnt[2][0].extras != learnt[3][0].extras)


@pytest.mark.usefixtures("patient")
def test_the_folder_of_another_run_is_refused_by_name(own, learnt, tmp_path):
    folder = tmp_path / "run"
    begin(own_part(own, tmp_path), folder)
    for number in range(2):
        picture = np.full((256, 256, 3), number, np.uint8)
        made_up.write(tmp_path / "pristine", f"{number}.png", encoded(picture))
    other = with_scores(own, tmp_path / "turned", turned)
    recipe = RatingsRecipe.from_json(json.dumps(RECIPE))
    cases = [
        ("scale", own_part(own, tmp_path, scale=(0, 10)), {}, recipe),
        ("manual_dir", own_part(other, tmp_path), {}, recipe),
        ("pristine", own_part(own, tmp_path), {"pristine": str(tmp_path / "pristine")}, recipe),
        ("seed", own_part(own, tmp_path), {}, replace(recipe, seed=7)),
    ]
    for name, part, settings, changed in cases:
        run = RatingsRun(part, str(folder), **settings)
        with pytest.raises(ValueError, match=rf"belongs to another run, which differs in {name} "):
            run.train(changed, progress=False)
    begin(own_part(own, tmp_path), folder)  # the one that it belongs to goes on


@pytest.mark.usefixtures("patient")
def test_a_second_training_in_a_folder_is_refused(own, tmp_path, learnt):
    begin(own_part(own, tmp_path), tmp_path / "run")
    holding, done = threading.Event(), threading.Event()

    def hold():
        with locked(tmp_path / "run"):
            holding.set()
            done.wait()

    with ThreadPoolExecutor() as pool:
        pool.submit(hold)
        holding.wait()
        try:
            run = RatingsRun(own_part(own, tmp_path), str(tmp_path / "run"))
            with pytest.raises(ValueError, match=r"Another process is at work in '.*run': wait"):
                run.train(RatingsRecipe.from_json(json.dumps(RECIPE)), progress=False)
        finally:
            done.set()


def test_two_that_prepare_pictures_in_a_folder_wait_for_each_other(tmp_path):
    order = []

    def work(name):
        with runs.one_at_a_time(tmp_path):
            order.append(name)
            time.sleep(0.05)
            order.append(name)

    with ThreadPoolExecutor() as pool:
        list(pool.map(work, "ab"))
    assert order in (list("aabb"), list("bbaa"))


def test_what_is_cheap_is_checked_before_a_folder_is_claimed(own, tmp_path):
    recipe = RatingsRecipe.from_json(json.dumps(RECIPE))
    step_1 = replace(recipe, error_maps=replace(recipe.error_maps, epochs=1))
    large = replace(recipe, statistics=replace(recipe.statistics, batch_size=80))
    many = tmp_path / "many"
    pictures = [f"p{number}.png" for number in range(100)]
    for number, name in enumerate(pictures):
        made_up.write(many, name, made_up.picture(number, "png", (64, 64)))
    made_up.write(many, "p70.png", made_up.picture(0, "png", (47, 64)))
    rows = [[name, number / 100] for number, name in enumerate(pictures)]
    made_up.write_csv(many, "scores.csv", [["image", "score"], *rows])
    made_up.write_csv(
        many, "sound.csv", [["image", "score"], *(r for r in rows if "70" not in r[0])]
    )
    part = partial(own_part, many, tmp_path, scale=(0, 1))
    crops = replace(recipe, predictor="diqa", features=replace(recipe.features, crop_size=34))
    cases = [
        (
            "calibration, and 9 are needed: add pictures .*, about 90",
            own_part(own, tmp_path),
            recipe,
        ),
        ("'p70.png' is 47 x 64 pixels, and 48 x 48 are needed", part(), recipe),
        ("is 64 x 64 pixels, and 102 x 102 are .* lower crop_size", part("sound.csv"), crops),
        ("Step 1 needs at least two pristine pictures", part("sound.csv"), step_1),
        (
            r"81 picture\(s\) to train on do not fill a batch of 82",
            part("sound.csv"),
            replace(large, statistics=replace(large.statistics, batch_size=82)),
        ),
        ("has no split 'train'; it has rated", part("sound.csv", "train"), recipe),
    ]
    for words, one, settings in cases:
        with pytest.raises(ValueError, match=words):
            RatingsRun(one, str(tmp_path / "run")).train(settings, progress=False)
        assert not (tmp_path / "run").exists(), words


@pytest.mark.usefixtures("patient", "learnt")
def test_the_part_to_learn_from_follows_the_table(own, run, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "MINIMUM_PAIRS_FOR_FIT", 5)
    lines = (own / "scores.csv").read_text().split()
    shared = shutil.copytree(own, tmp_path / "shares")
    place = ("--manual-dir", shared, "--data-dir", tmp_path / "built", "--scale", 1, 5)
    command = ("train", tmp_path / "recipe.json", "--database", "folder_iqa", *place)
    for names, split in ((("train", "test"), "train"), (("mine", "mine"), "mine")):
        marked = [f"{line},{names[number > 54]}" for number, line in enumerate(lines[1:])]
        (shared / "scores.csv").write_text("\n".join([f"{lines[0]},split", *marked]) + "\n")
        done = run(*command, "--folder", tmp_path / split)
        assert isinstance(done.exception, ReadyToLearn), done.output
        assert load_run(tmp_path / split)[0].part.split == split
    marked = [f"{line},part{number % 2}" for number, line in enumerate(lines[1:])]
    (shared / "scores.csv").write_text("\n".join([f"{lines[0]},split", *marked]) + "\n")
    done = run(*command, "--folder", tmp_path / "neither")
    assert "--split is missing: name one of part0, part1" in sentence(done)


@pytest.mark.usefixtures("patient", "learnt")
def test_a_damaged_file_of_a_run_is_named_and_the_run_goes_on_without(own, tmp_path):
    folder, part = tmp_path / "run", own_part(own, tmp_path)
    begin(part, folder)
    for content in ("", "{", "[" * 100_000, "{}", '{"database": "folder_iqa", "recipe": {}}'):
        (folder / "run.json").write_text(content)
        with pytest.raises(
            ValueError, match=r"run\.json' is damaged: delete it and start the same"
        ):
            load_run(folder)
    (folder / "run.json").unlink()
    begin(part, folder)
    assert load_run(folder)[0].part.name == "folder_iqa"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.usefixtures("patient")
def test_a_run_that_is_told_to_stop_says_how_to_go_on(number, run, settings, tmp_path, monkeypatch):
    before = signal.getsignal(number)
    monkeypatch.setattr(
        "diqa_utils.ratings.runs.prepare_pictures", lambda *_, **__: os.kill(os.getpid(), number)
    )
    folder = tmp_path / "run"
    done = run("train", tmp_path / "recipe.json", *settings, "--folder", folder)
    assert done.exit_code == 128 + number
    assert f"Stopped: `diqa resume {folder}` goes on.\n" in done.output
    assert "Traceback" not in done.output
    assert signal.getsignal(number) is before


def test_damaged_files_are_refused_in_a_sentence(tmp_path):
    make_run(tmp_path)
    counts = damage(tmp_path, list(READERS), number=25, seed=1)
    assert sum(counts.values()) == 25


def test_mistakes_are_said_in_a_sentence(run, settings, tmp_path):
    wrong = tmp_path / "wrong.json"
    wrong.write_text('{"epochs": 3}')
    folder = ("--folder", tmp_path / "run")
    cases = {
        "'recipe.jsn' is neither one of best, diqa nor a file": (
            *("train", "recipe.jsn", *settings, *folder),
        ),
        "has no setting 'epochs'": ("train", wrong, *settings, *folder),
        "There is no training run in": ("resume", tmp_path / "nothing"),
        "There is no predictor 'nothing'": (*("evaluate", *settings, "--predictor", "nothing"),),
        "has no split 'test'": ("evaluate", *settings, "--split", "test"),
        "--repeats needs --folder": ("evaluate", *settings, "--repeats", 2),
    }
    for message, arguments in cases.items():
        assert message in sentence(run(*arguments)), arguments
