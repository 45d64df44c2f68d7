"""Repeated splits by reference, whole other databases, published numbers, and their tables."""

import json
import re
from dataclasses import astuple

import made_up
import numpy as np
import pytest
import tensorflow as tf

from diqa_utils import datasets
from diqa_utils.datasets.catalog import CATALOG
from diqa_utils.evaluation import evaluate
from diqa_utils.metrics import fit_logistic, krcc, logistic, plcc, rmse, srcc
from diqa_utils.ratings import protocol, protocol_results
from diqa_utils.ratings.protocol import (
    DatabasePart,
    baselines,
    cross_database,
    evaluate_repeatedly,
    published,
    splits,
    to_dict,
    to_markdown,
)

METRICS = ("srcc", "plcc", "krcc", "rmse")
MAKERS = {
    "live_iqa": made_up.live,
    "tid2008": made_up.tid2008,
    "tid2013": made_up.tid2013,
    "csiq": made_up.csiq,
    "kadid10k": made_up.kadid,
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A database in its official layout, made up and built when it is first asked for."""
    root = tmp_path_factory.mktemp("built")
    done = {}

    def build(name):
        if name not in done:
            folder = MAKERS[name](tmp_path_factory.mktemp(name) / "release")
            datasets.load(name, data_dir=root, manual_dir=folder)
            done[name] = DatabasePart(name, data_dir=root)
        return done[name]

    return build


def own_database(folder, *, size=(48, 48), references=6, levels=6, types=("blur", "noise")):
    """A folder_iqa of flat-ish pictures whose quality falls with the level."""
    rows = [["image", "score", "reference", "distortion", "level"]]
    rng = np.random.default_rng(0)
    for number in range(references):
        made_up.write(folder, f"r{number}.png", made_up.picture(5, "png", size))
        for kind in types:
            for level in range(levels):
                name = f"{kind}{number}_{level}.png"
                shade = 10 + 4 * level + number
                made_up.write(folder, name, made_up.picture(shade, "png", size))
                score = 1 - level / levels + rng.normal(0, 0.01)
                rows.append([name, f"{np.clip(score, 0, 1):.4f}", f"r{number}.png", kind, level])
    made_up.write_csv(folder, "scores.csv", rows)
    return DatabasePart("folder_iqa", manual_dir=folder, data_dir=folder.parent / "built")


# Methods


def features(dataset):
    """Mean brightness and mean gradient of every picture, (N, 3)."""
    rows = []
    for example in dataset.as_numpy_iterator():
        gray = example["distorted_image"].astype(float).mean(axis=-1)
        rows.append([gray.mean(), np.abs(np.diff(gray)).mean(), 1.0])
    return np.array(rows)


def qualities(dataset):
    return np.array([example["quality"] for example in dataset.as_numpy_iterator()])


def references(dataset):
    return {example["reference_id"].decode() for example in dataset.as_numpy_iterator()}


def regression(training, validation, repeat):
    """A least-squares regression of the quality: learns a little, and only from training."""
    weights, *_ = np.linalg.lstsq(features(training), qualities(training), rcond=None)
    return lambda dataset: features(dataset) @ weights


def perfect(training, validation, repeat):
    return qualities


def noisy(training, validation, repeat):
    """Like a model whose success varies from repeat to repeat."""

    def predict(dataset):
        rng = np.random.default_rng(repeat)
        return (qualities(dataset) + rng.normal(0, 0.1 * repeat, len(dataset)))[:, None]

    return predict


def constant(training, validation, repeat):
    return lambda dataset: np.full(len(dataset), 0.5)


def values(row):
    return [getattr(row, name).value for name in METRICS]


def assert_alike(first, second):
    """Same splits, groups and numbers; a fit may differ in its last digit from run to run."""
    assert [repeat.split for repeat in first.repeats] == [repeat.split for repeat in second.repeats]
    assert_rows_alike(first.rows, second.rows)
    for one, other in zip(first.repeats, second.repeats, strict=True):
        assert_rows_alike(one.rows, other.rows)


def assert_rows_alike(first, second):
    for row, other in zip(first, second, strict=True):
        assert (row.group, row.images) == (other.group, other.images)
        for name in METRICS:
            pair = [astuple(getattr(one, name)) for one in (row, other)]
            assert pair[0] == pytest.approx(pair[1], rel=1e-9, abs=1e-12, nan_ok=True)


def run(part, fit, **settings):
    return evaluate_repeatedly(part, fit, **{"method": "toy", "progress": False} | settings)


# Splits


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("live_iqa", (18, 5, 6)),
        ("tid2008", (16, 4, 5)),
        ("tid2013", (15, 4, 5)),
        ("csiq", (19, 5, 6)),
        ("kadid10k", (52, 13, 16)),
    ],
)
def test_references_are_dealt_out_64_16_20_and_none_is_in_two_parts(built, name, sizes):
    part = built(name)
    everything = set(part.table()["reference_id"])
    drawn = splits(part, repeats=10, seed=1)
    for split in drawn:
        sets = [set(split.training), set(split.validation), set(split.test)]
        assert tuple(map(len, sets)) == sizes
        assert set.union(*sets) == everything
        assert sum(map(len, sets)) == len(everything)
    assert len({split.test for split in drawn}) > 5
    assert len({split.validation for split in drawn}) > 5


def test_test_references_are_those_of_repeated_splits(built):
    ids = built("csiq").table()["reference_id"]
    expected = datasets.repeated_splits(ids, (80, 20), repeats=4, seed=3)
    drawn = splits(built("csiq"), repeats=4, seed=3)
    assert [list(split.test) for split in drawn] == [test for _, test in expected]


def test_one_seed_gives_one_list_and_more_repeats_only_lengthen_it(built):
    drawn = splits(built("csiq"), repeats=12, seed=0)
    assert splits(built("csiq"), repeats=5, seed=0) == drawn[:5]
    assert splits(built("csiq"), repeats=5, seed=1) != drawn[:5]


def test_fit_sees_training_and_validation_pictures_and_predict_sees_the_test(built):
    part, seen = built("csiq"), []

    def fit(training, validation, repeat):
        parts = [references(training), references(validation)]
        spec = training.element_spec

        def predict(dataset):
            seen.append((repeat, *parts, references(dataset)))
            assert (
                spec == validation.element_spec == dataset.element_spec == part.load().element_spec
            )
            return qualities(dataset)

        return predict

    run(part, fit, repeats=2)
    for (_, *found), split in zip(seen, splits(part, repeats=2), strict=True):
        assert found == [set(split.training), set(split.validation), set(split.test)]
        assert not (found[0] | found[1]) & found[2]
    assert [number for number, *_ in seen] == [1, 2]


def test_a_leak_is_refused(monkeypatch, built):
    monkeypatch.setattr(
        protocol.datasets, "split_by_reference", lambda ids, *_, **__: (ids, ids[:1])
    )
    with pytest.raises(ValueError, match=r"training and validation share 1 reference\(s\)"):
        splits(built("csiq"), repeats=1)


# Repeated splits, end to end


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_a_perfect_predictor_of_every_database_reaches_one(built, name):
    result = run(built(name), perfect, repeats=2)
    database = CATALOG[name]
    assert len(result.rows) == 1 + database.distortions
    assert result.rows[0].group == "overall"
    assert [row.group for row in result.rows[1:]] == sorted(row.group for row in result.rows[1:])
    for row in result.rows:
        assert row.repeats == 2
        assert values(row) == pytest.approx([1, 1, 1, 0], abs=1e-4)
        assert row.images[0] >= 6
    assert sum(row.images[1] for row in result.rows[1:]) >= result.rows[0].images[1]


def test_a_regression_learns_from_the_training_part(built):
    # Made-up CSIQ is darker where its DMOS is low: the direction is the library's business.
    result = run(built("csiq"), regression, repeats=3)
    assert result.rows[0].srcc.value > 0.5
    assert result.rows[0].plcc.value > 0.5
    assert 0 < result.rows[0].rmse.value < 0.3


def test_rows_of_a_repeat_are_those_of_evaluate(built):
    part = built("tid2008")
    result = run(part, noisy, repeats=2)
    table = part.table()
    for repeat in result.repeats:
        test = np.isin(table["reference_id"], repeat.split.test)
        dataset = part.load(repeat.split.test)
        predictions = noisy(None, None, repeat.number)(dataset)
        assert np.array_equal(qualities(dataset), table["quality"][test].astype(np.float32))
        expected = evaluate(
            predictions,
            table["quality"][test],
            groups=table["distortion"][test],
            resamples=0,
        )
        assert_rows_alike(repeat.rows, expected)
        pair = (predictions, table["quality"][test])
        error = rmse(logistic(predictions, fit_logistic(*pair)), pair[1])
        by_hand = [srcc(*pair), plcc(*pair), krcc(*pair), error]
        assert values(repeat.rows[0]) == pytest.approx(by_hand, abs=1e-6)


@pytest.mark.parametrize("repeats", [1, 4, 5])
def test_medians_are_numpys_and_the_interval_holds_all_repeats(built, repeats):
    result = run(built("csiq"), noisy, repeats=repeats)
    for group in ("overall", "contrast_change"):
        [row] = [row for row in result.rows if row.group == group]
        for name in METRICS:
            each = [
                getattr(one, name).value
                for repeat in result.repeats
                for one in repeat.rows
                if one.group == group
            ]
            assert len(each) == repeats
            estimate = getattr(row, name)
            assert estimate.value == np.median(each)
            assert (estimate.low, estimate.high) == (min(each), max(each))
    assert result.interval == f"from the lowest to the highest of {repeats} repeat(s)"


def test_interval_of_many_repeats_is_numpys_quantiles(built, monkeypatch):
    monkeypatch.setattr(protocol_results, "REPEATS_FOR_QUANTILES", 5)
    result = run(built("csiq"), noisy, repeats=5)
    each = [repeat.rows[0].srcc.value for repeat in result.repeats]
    row = result.rows[0].srcc
    assert (row.low, row.high) == tuple(np.quantile(each, [0.025, 0.975]))
    assert min(each) < row.low < row.value < row.high < max(each)
    assert result.interval == "from the quantile of 2.5 % to that of 97.5 % of 5 repeats"


def test_forty_repeats_are_many():
    assert "lowest" in protocol_results._interval_in_words(39)
    assert "quantile" in protocol_results._interval_in_words(40)
    each = list(np.random.default_rng(0).uniform(0, 1, 39))
    few, many = protocol._median(each, 39), protocol._median([*each, 0.5], 40)
    assert (few.low, few.high) == (min(each), max(each))
    assert min(each) < many.low < many.high < max(each)


def test_a_constant_gives_rows_that_are_not_defined(built):
    result = run(built("csiq"), constant, repeats=2)
    for row in result.rows:
        assert row.repeats == 0
        assert np.isnan(values(row)).all()
    [overall, *_] = table_cells(to_markdown([result]))[2:]
    assert overall[5:] == ["0 of 2", "–", "–", "–", "–"]


def test_a_predictor_that_runs_the_wrong_way_has_negative_ranks(built):
    result = run(built("csiq"), lambda *_: lambda dataset: -qualities(dataset), repeats=2)
    assert result.rows[0].srcc.value == pytest.approx(-1)
    assert result.rows[0].krcc.value == pytest.approx(-1)
    assert result.rows[0].plcc.value == pytest.approx(1)  # after a logistic that falls


def test_a_repeat_that_is_not_defined_is_left_out_and_counted(built):
    def collapses_once(training, validation, repeat):
        return (constant if repeat == 2 else noisy)(training, validation, repeat)

    result = run(built("csiq"), collapses_once, repeats=3)
    each = [result.repeats[number].rows[0].srcc.value for number in (0, 2)]
    assert result.rows[0].repeats == 2
    assert result.rows[0].srcc.value == np.median(each)
    text = to_markdown([result])
    assert "| 2 of 3 |" in text
    assert "A repeat is left out of a row where" in text


def test_a_distortion_with_too_few_test_pictures_is_counted_and_not_a_crash(tmp_path):
    part = own_database(tmp_path / "own", levels=4)  # one test reference: 8 pictures, 4 a type
    result = run(part, noisy, repeats=2)
    assert [(row.group, row.images, row.repeats) for row in result.rows] == [
        ("overall", (8, 8), 2),
        ("blur", (4, 4), 0),
        ("noise", (4, 4), 0),
    ]
    assert np.isnan(values(result.rows[1])).all()


def test_a_single_distortion_has_no_row_of_its_own(tmp_path):
    part = own_database(tmp_path / "own", types=("blur",))
    result = run(part, noisy, repeats=2)
    assert [row.group for row in result.rows] == ["overall"]


def test_parts_of_a_folder_may_be_joined(tmp_path):
    folder = tmp_path / "own"
    own_database(folder)
    lines = (folder / "scores.csv").read_text().split()
    marked = [f"{line},{'test' if '0_' in line else 'train'}" for line in lines[1:]]
    made_up.write(folder, "scores.csv", "\n".join([f"{lines[0]},split", *marked]) + "\n")
    part = DatabasePart("folder_iqa", "train+test", manual_dir=folder, data_dir=tmp_path)
    result = run(part, perfect, repeats=2)
    assert result.database == "folder_iqa, train+test"
    assert result.rows[0].srcc.value == pytest.approx(1)


# Going on after a stop


def counting(fit, calls, stop_at=None):
    def counted(training, validation, repeat):
        calls.append(repeat)
        if repeat == stop_at:
            raise KeyboardInterrupt
        return fit(training, validation, repeat)

    return counted


def test_a_stopped_run_goes_on_after_the_last_finished_repeat(built, tmp_path):
    part, folder = built("csiq"), tmp_path / "run"
    straight = run(part, noisy, repeats=3)
    first, second, third = [], [], []
    with pytest.raises(KeyboardInterrupt):
        run(part, counting(noisy, first, stop_at=2), repeats=3, folder=folder)
    assert sorted(path.name for path in folder.iterdir()) == ["repeat-001.csv", "run.json"]
    resumed = run(part, counting(noisy, second), repeats=3, folder=folder)
    again = run(part, counting(noisy, third), repeats=3, folder=folder)
    assert (first, second, third) == ([1, 2], [2, 3], [])
    assert_alike(resumed, straight)
    assert_alike(again, straight)


def test_more_repeats_train_only_those_that_are_new(built, tmp_path):
    part, calls = built("csiq"), []
    run(part, noisy, repeats=2, folder=tmp_path)
    longer = run(part, counting(noisy, calls), repeats=4, folder=tmp_path)
    assert calls == [3, 4]
    assert_alike(longer, run(part, noisy, repeats=4))


def test_a_file_that_was_half_written_is_no_finished_repeat(built, tmp_path, monkeypatch):
    part, calls = built("csiq"), []

    def fails(path, image_ids, predictions):
        path.write_text("image_id,prediction\n")
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(protocol, "_write_predictions", fails)
        with pytest.raises(OSError, match="the disk is full"):
            run(part, noisy, repeats=1, folder=tmp_path)
    run(part, counting(noisy, calls), repeats=1, folder=tmp_path)
    assert calls == [1]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"seed": 1}, r"belongs to a run whose seed is 0, not 1: take another folder"),
        ({"method": "other"}, r"belongs to a run whose method is 'toy', not 'other'"),
        ({"settings": {"rate": 0.2}}, r"whose settings is {'rate': 0.1}, not {'rate': 0.2}"),
    ],
)
def test_a_folder_of_another_run_is_refused(built, tmp_path, changed, words):
    settings = {"repeats": 1, "folder": tmp_path, "settings": {"rate": 0.1}}
    run(built("csiq"), noisy, **settings)
    with pytest.raises(ValueError, match=words):
        run(built("csiq"), noisy, **settings | changed)


def test_a_folder_of_another_database_or_other_scores_is_refused(built, tmp_path):
    run(built("csiq"), noisy, repeats=1, folder=tmp_path / "run")
    with pytest.raises(ValueError, match="whose database is 'csiq', not 'tid2008'"):
        run(built("tid2008"), noisy, repeats=1, folder=tmp_path / "run")
    part = own_database(tmp_path / "own")
    run(part, noisy, repeats=1, folder=tmp_path / "own run")
    turned = DatabasePart(
        part.name,
        manual_dir=part.manual_dir,
        data_dir=part.data_dir,
        options={"higher_is_better": False},
    )
    with pytest.raises(ValueError, match=r"whose pictures is '\w{12}', not '\w{12}'"):
        run(turned, noisy, repeats=1, folder=tmp_path / "own run")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("run.json", "{", r"run.json' is damaged: take another folder"),
        ("run.json", "[]", r"run.json' is damaged: take another folder"),
        ("repeat-001.csv", "a,b\n1,2\n", r"repeat-001.csv' is damaged: delete it to make it"),
        ("repeat-001.csv", "image_id,prediction\n", r"repeat-001.csv' has other pictures: delete"),
    ],
)
def test_a_damaged_file_is_named(built, tmp_path, name, content, words):
    run(built("csiq"), noisy, repeats=1, folder=tmp_path)
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=words):
        run(built("csiq"), noisy, repeats=1, folder=tmp_path)


def test_a_folder_with_tables_of_somebody_else_is_refused(built, tmp_path):
    made_up.write(tmp_path, "scores.csv", "image,score\n")
    with pytest.raises(ValueError, match=r"holds 'scores.csv' and no run.json"):
        run(built("csiq"), noisy, repeats=1, folder=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["scores.csv"]


# Bad input


@pytest.mark.parametrize(
    ("predict", "words"),
    [
        (
            lambda dataset: qualities(dataset)[1:],
            r"repeat-001: the predictions have shape \(\d+,\)",
        ),
        (lambda dataset: np.zeros((len(dataset), 2)), r"shape \(17\d, 2\) for 17\d pictures; give"),
        (
            lambda dataset: np.full(len(dataset), np.nan),
            r"prediction 0 is nan; every picture needs",
        ),
        (np.zeros(3), r"must be a function of a dataset, not ndarray: let fit return one"),
    ],
)
def test_predictions_that_cannot_be_are_refused(built, predict, words):
    with pytest.raises(ValueError, match=words) as caught:
        run(built("csiq"), lambda *_: predict, repeats=1)
    assert str(caught.value).count(". ") == 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"repeats": 0}, "repeats must be at least 1, not 0"),
        ({"seed": -1}, "seed must be zero or more, not -1"),
        ({"settings": {"rate": {1}}, "folder": "x"}, "settings must be ready for JSON: .*set"),
    ],
)
def test_settings_that_cannot_be_are_refused(built, settings, words):
    with pytest.raises(ValueError, match=words):
        run(built("csiq"), noisy, **settings)


def test_a_database_that_is_not_known_is_refused():
    with pytest.raises(ValueError, match="There is no database 'live'"):
        run("live", noisy)


def test_a_folder_without_references_is_refused(tmp_path):
    folder = made_up.own_folder(tmp_path / "own", references=False)
    part = DatabasePart(
        "folder_iqa", manual_dir=folder, data_dir=tmp_path, options={"scale": (1, 5)}
    )
    with pytest.raises(ValueError, match="folder_iqa has no references, so it cannot be split by"):
        splits(part)


def test_two_references_are_too_few(tmp_path):
    part = own_database(tmp_path / "own", references=2)
    with pytest.raises(ValueError, match=r"folder_iqa has 2 reference\(s\); training, validation"):
        splits(part)


def test_a_distortion_called_overall_is_refused(tmp_path):
    part = own_database(tmp_path / "own", types=("overall", "blur"))
    with pytest.raises(ValueError, match="No distortion may be called 'overall'"):
        run(part, noisy, repeats=1)


# What learns nothing


def test_baselines_take_the_same_splits_and_their_scores_once(tmp_path, monkeypatch):
    part = own_database(tmp_path / "own", size=(48, 52), references=8)
    calls = []
    scored = protocol.full_reference_scores

    def counted(dataset, *, metrics):
        calls.append(metrics)
        return scored(dataset, metrics=metrics)

    monkeypatch.setattr(protocol, "full_reference_scores", counted)
    settings = {"repeats": 3, "seed": 2, "folder": tmp_path / "run", "progress": False}
    results = baselines(part, **settings)
    assert [result.method for result in results] == ["constant", "PSNR", "SSIM", "MS-SSIM"]
    assert calls == [["psnr"], ["ssim"]]
    for first, again in zip(results, baselines(part, **settings), strict=True):
        assert_alike(first, again)
    assert len(calls) == 2

    table = part.table()
    psnr = scored(part.load(), metrics=["psnr"])["psnr"]
    for repeat, split in zip(results[1].repeats, splits(part, repeats=3, seed=2), strict=True):
        assert repeat.split == split
        test = np.isin(table["reference_id"], split.test)
        assert repeat.rows[0].srcc.value == srcc(psnr[test], table["quality"][test])
    assert results[1].rows[0].srcc.value > 0.8
    assert all(row.repeats == 0 for row in results[0].rows)


def test_ms_ssim_of_small_pictures_is_left_out_and_says_why(tmp_path):
    part = own_database(tmp_path / "own", size=(60, 48))
    result = baselines(part, metrics=["ms_ssim"], repeats=2, progress=False)[1]
    assert (result.rows, result.repeats) == ((), ())
    sentence = "MS-SSIM is left out on folder_iqa: it needs 176 pixels a side, and the smallest"
    assert result.left_out == f"{sentence} picture has 48."
    assert result.left_out in to_markdown([result]).splitlines()


def test_ms_ssim_of_large_pictures_is_measured(tmp_path):
    part = own_database(tmp_path / "own", size=(176, 180), references=3, levels=3)
    result = baselines(part, metrics=["ms_ssim"], repeats=2, progress=False)[1]
    assert not result.left_out
    assert result.rows[0].images == (6, 6)
    assert np.isfinite(result.rows[0].srcc.value)


def test_an_infinite_psnr_counts_as_100_decibels(tmp_path, monkeypatch):
    part = own_database(tmp_path / "own")
    scores = np.array([30.0, np.inf, 40.0])
    monkeypatch.setattr(protocol, "full_reference_scores", lambda *_, metrics: {"psnr": scores})
    found = protocol._full_reference(part, "psnr", progress=False)
    assert found.tolist() == [30, 100, 40]
    scores[2] = 104.0
    assert protocol._full_reference(part, "psnr", progress=False).tolist() == [30, 104, 104]


def test_metrics_are_left_out_where_there_are_no_reference_pictures(tmp_path):
    folder = tmp_path / "own"
    own_database(folder)
    text = (folder / "scores.csv").read_text().replace("reference", "reference_id", 1)
    made_up.write(folder, "scores.csv", text)
    part = DatabasePart("folder_iqa", manual_dir=folder, data_dir=tmp_path / "built")
    result = baselines(part, metrics=["psnr"], repeats=2, progress=False)[1]
    assert result.left_out == "PSNR is left out on folder_iqa: there are no reference pictures."
    assert run(part, perfect, repeats=2).rows[0].srcc.value == pytest.approx(1)


def test_a_metric_that_is_not_known_is_refused(built):
    with pytest.raises(ValueError, match="'vif' is not one of the metrics psnr, ssim, ms_ssim"):
        baselines(built("csiq"), metrics=["vif"])


# Whole databases


def test_one_predictor_on_whole_databases(built):
    parts = [built("csiq"), built("tid2008")]
    settings = {"method": "toy", "resamples": 5, "seed": 4, "confidence": 0.9, "progress": False}
    predict = noisy(None, None, 1)
    results = cross_database(predict, parts, **settings)
    assert [result.database for result in results] == ["csiq", "tid2008"]
    for part, result in zip(parts, results, strict=True):
        table = part.table()
        expected = evaluate(
            predict(part.load()),
            table["quality"],
            groups=table["distortion"],
            clusters=table["reference_id"],
            resamples=5,
            seed=4,
            confidence=0.9,
        )
        assert_rows_alike(result.rows, expected)
        assert result.left_out == {}


def test_distortions_with_few_pictures_are_named_on_a_whole_database(tmp_path):
    part = own_database(tmp_path / "own", references=5, levels=1, types=("blur", "white_noise"))
    [result] = cross_database(noisy(None, None, 1), part, method="toy", resamples=2, progress=False)
    assert [row.group for row in result.rows] == ["overall"]
    assert result.left_out == {"blur": 5, "white_noise": 5}
    text = to_markdown([result])
    assert "folder_iqa: white noise is left out, with 5 picture(s) only." in text.splitlines()


def test_a_constant_on_a_whole_database_is_not_defined(built):
    [result] = cross_database(
        constant(None, None, 1), [built("csiq")], method="c", resamples=2, progress=False
    )
    assert all(np.isnan(values(row)).all() for row in result.rows)
    assert json.loads(json.dumps(to_dict([result]), allow_nan=False))


def test_whole_databases_need_a_name_and_right_predictions(built):
    with pytest.raises(ValueError, match="databases is empty: name at least one"):
        cross_database(qualities, [], method="toy")
    with pytest.raises(ValueError, match=r"csiq: the predictions have shape \(3,\) for 866"):
        cross_database(lambda _: [1, 2, 3], [built("csiq")], method="toy", progress=False)


# Published numbers


@pytest.mark.parametrize(
    ("database", "method", "numbers"),
    [
        ("live_iqa", "BRISQUE", (0.929, 0.944)),
        ("live_iqa", "MANIQA", (0.982, 0.983)),
        ("csiq", "DBCNN", (0.946, 0.959)),
        ("tid2013", "BIECON", (0.717, 0.762)),
        ("kadid10k", "HyperIQA", (0.852, 0.845)),
        ("biq2021", "NASNet-Large", (0.6725, 0.7083)),
        ("biq2021", "DeepEns", (0.792, 0.810)),
        ("live_iqa", "FSIM", (0.965, None)),
        ("csiq", "MS-SSIM", (0.913, None)),
        ("tid2013", "SSIM", (0.627, None)),
        ("kadid10k", "PSNR", (0.68, None)),
    ],
)
def test_published_numbers_are_those_of_their_sources(database, method, numbers):
    [row] = [row for row in published(database) if row.method == method]
    assert (row.srcc, row.plcc) == numbers


def test_every_published_number_has_a_source_and_a_known_database():
    rows = {name: published(name) for name in CATALOG}
    counts = {name: len(found) for name, found in rows.items() if found}
    assert counts == {"live_iqa": 11, "tid2013": 11, "csiq": 11, "kadid10k": 10, "biq2021": 13}
    for name, found in rows.items():
        assert len({row.method for row in found}) == len(found)
        for row in found:
            assert row.database == name
            assert len(row.source) > 10
            assert row.kind in ("no-reference", "full-reference")
            assert 0 < row.srcc < 1
            assert row.plcc is None or 0 < row.plcc < 1
            assert row.url is None or row.url.startswith("https://")
    text = (protocol.Path(protocol.__file__).parent / "published_results.json").read_text()
    content = json.loads(text)
    assert len(content["results"]) == sum(counts.values())
    assert {row["source"] for row in content["results"]} == set(content["sources"])


def test_published_results_of_an_unknown_database_are_refused():
    with pytest.raises(ValueError, match="There is no database 'koniq'; known: sample_iqa"):
        published("koniq")


# Tables


def table_cells(text):
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_markdown_has_measured_rows_first_and_published_ones_marked(built):
    result = run(built("csiq"), noisy, repeats=2, method="a|b")
    [whole] = cross_database(
        noisy(None, None, 1), [built("tid2008")], method="x", resamples=2, progress=False
    )
    text = to_markdown([result, whole], [*published("csiq"), *published("biq2021")])
    head, ruler, *rows = table_cells(text)
    assert head[1:] == [
        *("database", "method", "pictures", "images", "repeats", "SRCC", "PLCC", "KRCC", "RMSE")
    ]
    assert {len(row) for row in rows} == {len(ruler)} == {10}
    assert all(re.fullmatch(r"-{3}|--:", cell) for cell in ruler)
    kinds = [row[0].split()[0] for row in rows]
    assert kinds == ["measured"] * (7 + 18) + ["published"] * 24
    assert rows[0][1:4] == ["csiq", r"a\|b", "overall"]
    assert [row[3] for row in rows[:7]].count("white noise") == 1
    assert rows[0][5] == "2 of 2"
    assert re.fullmatch(r"\d\.\d{3} \[\d\.\d{3}, \d\.\d{3}\]", rows[0][6])
    brisque, psnr, about = (
        next(r for r in rows if r[2] == m) for m in ("BRISQUE", "PSNR", "SGL-IQA")
    )
    assert brisque[3:] == ["overall", "–", "–", "0.812", "0.748", "–", "–"]
    assert psnr[6:] == ["0.809", "–", "–", "–"]
    assert about[6] == "about 0.71"
    used = {row[0] for row in rows if row[0].startswith("published")}
    sources = re.findall(r"^\[(\d)\] \S+", text, re.MULTILINE)
    assert used == {f"published [{number}]" for number in sources}
    assert "https://github.com/nisarahmedrana/BIQ2021" in text
    assert text.count("Repeated splits by reference: the median and, in brackets, from the") == 1
    assert "A whole database: the value and the bootstrap interval of 95%" in text


def test_markdown_without_distortions_has_a_row_per_result(built):
    results = [run(built("csiq"), fit, repeats=2) for fit in (noisy, constant)]
    assert len(table_cells(to_markdown(results, distortions=False))) == 4


def test_published_digits_are_kept():
    text = to_markdown([], published("tid2013") + published("kadid10k"))
    assert "| HyperIQA | overall | – | – | 0.840 | 0.858 |" in text
    assert "| MS-SSIM | overall | – | – | 0.80 | – |" in text


def test_dictionary_is_json_without_nan(built):
    results = [run(built("csiq"), fit, repeats=2) for fit in (noisy, constant)]
    content = to_dict(results, published("csiq"))
    read = json.loads(json.dumps(content, allow_nan=False))
    assert read == content
    assert list(read) == ["measured", "published"]
    first, second = read["measured"]
    assert first["protocol"] == "repeated splits by reference"
    assert first["rows"][0]["srcc"]["value"] == results[0].rows[0].srcc.value
    assert first["repeats"][0]["split"]["test"] == list(splits(built("csiq"))[0].test)
    assert second["rows"][0]["srcc"] == {"value": None, "low": None, "high": None}
    assert read["published"][0]["source"].startswith("MANIQA's results table")
    assert len(read["published"]) == 11


def test_toy_features_see_only_pictures():
    dataset = tf.data.Dataset.from_tensors(
        {"distorted_image": np.full((4, 4, 3), 9, np.uint8), "quality": 0.5}
    )
    assert features(dataset).tolist() == [[9, 0, 1]]


@pytest.mark.parametrize("sizes", [[(70, 50)], [(70, 50), (60, 90), (49, 80)]])
def test_the_smallest_side_is_found_with_or_without_a_known_shape(sizes):
    def pictures():
        for size in sizes:
            yield {"reference_image": np.zeros((*size, 3), np.uint8)}

    shape = (*sizes[0], 3) if len(sizes) == 1 else (None, None, 3)
    spec = {"reference_image": tf.TensorSpec(shape, tf.uint8)}
    dataset = tf.data.Dataset.from_generator(pictures, output_signature=spec)
    assert protocol._smallest_side(dataset) == min(map(min, sizes))
