"""Repeated splits by reference, whole other databases, published numbers, and their table."""

import json

import made_up
import numpy as np
import pytest

from diqa_utils import datasets
from diqa_utils.evaluation import evaluate, full_reference_scores
from diqa_utils.metrics import fit_logistic, krcc, logistic, plcc, rmse, srcc
from diqa_utils.ratings import protocol
from diqa_utils.ratings.protocol import (
    DatabasePart,
    evaluate_repeatedly,
    evaluate_whole,
    full_reference,
    published,
    splits,
    to_dict,
    to_markdown,
)

METRICS = ("srcc", "plcc", "krcc", "rmse")


def own_database(folder, *, references=6, levels=6, types=("blur", "noise"), key="reference"):
    """A folder_iqa of flat-ish pictures whose quality falls with the level."""
    rows = [["image", "score", key, "distortion", "level"]]
    rng = np.random.default_rng(0)
    for number in range(references):
        made_up.write(folder, f"r{number}.png", made_up.picture(5, "png", (48, 48)))
        for kind in types:
            for level in range(levels):
                name = f"{kind}{number}_{level}.png"
                shade = 10 + 4 * level + number
                made_up.write(folder, name, made_up.picture(shade, "png", (48, 48)))
                score = 1 - level / levels + rng.normal(0, 0.01)
                rows.append([name, f"{np.clip(score, 0, 1):.4f}", f"r{number}.png", kind, level])
    made_up.write_csv(folder, "scores.csv", rows)
    return DatabasePart("folder_iqa", manual_dir=folder, data_dir=folder.parent / "built")


@pytest.fixture(scope="module")
def rated(tmp_path_factory):
    """360 pictures of 30 references, two distortions at six levels."""
    return own_database(tmp_path_factory.mktemp("rated") / "own", references=30)


def of_test(part, split):
    table = part.table()
    chosen = np.isin(table["reference_id"], split.test)
    return {name: column[chosen] for name, column in table.items()}


def perfect(part):
    return lambda split, number: of_test(part, split)["quality"]


def noisy(part):
    """Like a model whose success varies from repeat to repeat."""

    def method(split, number):
        quality = of_test(part, split)["quality"]
        rng = np.random.default_rng(number)
        return (quality + rng.normal(0, 0.1 * number, len(quality)))[:, None]

    return method


def run(part, method, **settings):
    return evaluate_repeatedly(part, method, **{"name": "toy", "progress": False} | settings)


def values(row):
    return [getattr(row, name).value for name in METRICS]


# Splits


def test_references_are_dealt_out_64_16_20_and_none_is_in_two_parts(rated):
    table = rated.table()
    drawn = splits(rated, repeats=10, seed=1)
    for split in drawn:
        parts = [set(split.training), set(split.validation), set(split.test)]
        assert tuple(map(len, parts)) == (19, 5, 6)
        assert set.union(*parts) == set(table["reference_id"])
    assert len({split.test for split in drawn}) > 5
    assert len({split.validation for split in drawn}) > 5
    outer = datasets.repeated_splits(table["reference_id"], (80, 20), repeats=10, seed=1)
    assert [list(split.test) for split in drawn] == [test for _, test in outer]


def test_one_seed_gives_one_list_and_more_repeats_only_lengthen_it(rated):
    drawn = splits(rated, repeats=12, seed=0)
    assert splits(rated, repeats=5, seed=0) == drawn[:5]
    assert splits(rated, repeats=5, seed=1) != drawn[:5]


def test_what_cannot_be_split_is_refused(rated, tmp_path):
    with pytest.raises(ValueError, match="repeats must be at least 1, not 0"):
        splits(rated, repeats=0)
    two = own_database(tmp_path / "two", references=2)
    with pytest.raises(ValueError, match=r"1 reference\(s\) cannot be split into 2 parts"):
        splits(two)
    part = own_database(tmp_path / "own", key="remark")
    with pytest.raises(ValueError, match="folder_iqa has no references, so it cannot be split by"):
        splits(part)


def test_parts_of_a_folder_may_be_joined(tmp_path):
    own_database(tmp_path / "own")
    lines = (tmp_path / "own/scores.csv").read_text().split()
    marked = [f"{line},{'test' if '0_' in line else 'train'}" for line in lines[1:]]
    made_up.write(tmp_path / "own", "scores.csv", "\n".join([f"{lines[0]},split", *marked]) + "\n")
    part = DatabasePart("folder_iqa", "train+test", manual_dir=tmp_path / "own", data_dir=tmp_path)
    result = run(part, perfect(part), repeats=2)
    assert result.database == "folder_iqa, train+test"
    assert result.rows[0].srcc.value == pytest.approx(1)


# Repeated splits


def test_a_perfect_method_reaches_one(rated):
    result = run(rated, perfect(rated), repeats=2)
    groups = [row.group for row in result.rows]
    assert groups == ["overall", *sorted(set(rated.table()["distortion"].tolist()))]
    for row in result.rows:
        assert values(row) == pytest.approx([1, 1, 1, 0], abs=1e-4)
    assert not result.left_out


def test_rows_are_medians_and_quantiles_over_the_repeats(rated):
    repeats = 5
    result = run(rated, noisy(rated), repeats=repeats, seed=3)
    each = []
    for number, split in enumerate(splits(rated, repeats=repeats, seed=3), start=1):
        quality = of_test(rated, split)["quality"]
        predictions = noisy(rated)(split, number)[:, 0]
        error = rmse(logistic(predictions, fit_logistic(predictions, quality)), quality)
        pair = predictions, quality
        each.append([srcc(*pair), plcc(*pair), krcc(*pair), error])
    low, median, high = np.quantile(each, [0.025, 0.5, 0.975], axis=0)
    assert values(result.rows[0]) == pytest.approx(median, abs=1e-6)
    bounds = [getattr(result.rows[0], name) for name in METRICS]
    assert [bound.low for bound in bounds] == pytest.approx(low, abs=1e-6)
    assert [bound.high for bound in bounds] == pytest.approx(high, abs=1e-6)
    assert result.interval.endswith(f"97.5 % of {repeats} repeat(s)")


def test_a_repeat_without_a_value_is_left_out_and_counted(rated):
    def collapses_once(split, number):
        predictions = noisy(rated)(split, number)
        return np.zeros_like(predictions) if number == 2 else predictions

    result = run(rated, collapses_once, repeats=3)
    assert np.isfinite(result.rows[0].srcc.value)
    assert result.left_out[0].startswith("folder_iqa, toy, overall: 1 of 3 repeats have no value.")
    assert result.left_out[0] in to_markdown([result])


def test_a_distortion_with_too_few_test_pictures_is_counted(tmp_path):
    part = own_database(tmp_path / "own", levels=4)  # one test reference: 8 pictures, 4 a type
    result = run(part, noisy(part), repeats=2)
    assert [(row.group, row.images) for row in result.rows] == [("overall", 8)]
    assert [note.split(".")[0] for note in result.left_out] == [
        "folder_iqa, toy, blur: 2 of 2 repeats have no value",
        "folder_iqa, toy, noise: 2 of 2 repeats have no value",
    ]


@pytest.mark.parametrize(
    ("predictions", "words"),
    [
        (
            lambda number: np.zeros(number - 1),
            r"repeat 1 on folder_iqa: the predictions have",
        ),
        (lambda number: np.zeros((number, 2)), r"shape \(72, 2\) for 72 pictures; give"),
        (lambda number: np.full(number, np.nan), r"prediction 0 is nan; every picture needs"),
    ],
)
def test_predictions_that_cannot_be_are_refused(rated, predictions, words):
    with pytest.raises(ValueError, match=words):
        run(rated, lambda split, _: predictions(len(of_test(rated, split)["quality"])), repeats=1)


# Full-reference metrics


def test_full_reference_metrics_take_the_same_splits(tmp_path):
    part = own_database(tmp_path / "own")
    psnr_result, ssim_result = full_reference(part, repeats=3, seed=2)
    psnr = full_reference_scores(part.load(), metrics=["psnr"])["psnr"]
    table = part.table()
    chosen = [
        np.isin(table["reference_id"], split.test) for split in splits(part, repeats=3, seed=2)
    ]
    each = [srcc(psnr[test], table["quality"][test]) for test in chosen]
    assert psnr_result.rows[0].srcc.value == pytest.approx(np.median(each))
    assert (psnr_result.method, ssim_result.method) == ("PSNR", "SSIM")


def test_an_infinite_psnr_counts_as_100_decibels(tmp_path, monkeypatch):
    part = own_database(tmp_path / "own")
    psnr = 90 + 10 * part.table()["quality"]
    psnr[part.table()["quality"] > 0.9] = np.inf
    monkeypatch.setattr(protocol, "full_reference_scores", lambda *_, metrics: {"psnr": psnr})
    assert full_reference(part, repeats=2)[0].rows[0].srcc.value > 0.9


def test_without_reference_pictures_there_are_no_such_metrics(tmp_path):
    assert full_reference(own_database(tmp_path / "own", key="reference_id")) == []


# Whole databases


def test_a_whole_database_is_evaluated_with_clusters(rated):
    table = rated.table()
    predictions = table["quality"] + np.random.default_rng(0).normal(0, 0.1, 360)
    result = evaluate_whole(rated, predictions, name="toy", resamples=5)
    expected = evaluate(
        predictions,
        table["quality"],
        groups=table["distortion"],
        clusters=table["reference_id"],
        resamples=5,
    )
    for row, wanted in zip(result.rows, expected, strict=True):
        assert (row.group, row.images) == (wanted.group, wanted.images)
        for name in METRICS:
            pair = [getattr(estimates, name) for estimates in (row, wanted)]
            assert pair[0].value == pytest.approx(pair[1].value, rel=1e-9)
            assert pair[0].low == pytest.approx(pair[1].low, rel=1e-9)
    with pytest.raises(ValueError, match=r"folder_iqa: the predictions have shape \(3,\) for 360"):
        evaluate_whole(rated, [1, 2, 3], name="toy")


def test_distortions_with_few_pictures_are_named_on_a_whole_database(tmp_path):
    part = own_database(tmp_path / "own", references=5, levels=1, types=("blur", "white_noise"))
    result = evaluate_whole(part, np.arange(10), name="toy", resamples=2)
    assert [row.group for row in result.rows] == ["overall"]
    assert result.left_out == (
        "folder_iqa: blur has no row, with 5 picture(s) only.",
        "folder_iqa: white noise has no row, with 5 picture(s) only.",
    )


# Published numbers and the table


@pytest.mark.parametrize(
    ("database", "method", "numbers"),
    [
        ("live_iqa", "BRISQUE", ("0.929", "0.944")),
        ("csiq", "DBCNN", ("0.946", "0.959")),
        ("tid2013", "HyperIQA", ("0.840", "0.858")),
        ("biq2021", "NASNet-Large", ("0.6725", "0.7083")),
        ("biq2021", "SGL-IQA", ("about 0.71", None)),
        ("kadid10k", "MS-SSIM", ("0.80", None)),
    ],
)
def test_published_numbers_are_those_of_their_sources(database, method, numbers):
    [row] = [row for row in published(database) if row["method"] == method]
    assert (row["srcc"], row.get("plcc")) == numbers
    assert len(row["source"]) > 10


def test_markdown_has_measured_rows_first_and_published_ones_marked(rated):
    repeated = run(rated, noisy(rated), repeats=2)
    whole = evaluate_whole(rated, np.arange(360), name="x", resamples=2)
    lines = to_markdown([repeated, whole], published("csiq")).splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("|")]
    assert rows[0] == [
        "numbers",
        "database",
        "method",
        "pictures",
        "images",
        *map(str.upper, METRICS),
    ]
    assert [row[0].split()[0] for row in rows[2:]] == ["measured"] * 6 + ["published"] * 11
    assert rows[2][1:5] == ["folder_iqa", "toy", "overall", str(repeated.rows[0].images)]
    assert rows[2][5] == str(repeated.rows[0].srcc)
    brisque = next(row for row in rows if "BRISQUE" in row)
    assert brisque[1:] == ["csiq", "BRISQUE", "overall", "–", "0.812", "0.748", "–", "–"]
    assert f"folder_iqa, toy: {repeated.interval}." in lines
    assert f"{brisque[0].removeprefix('published ')} {published('csiq')[0]['source']}" in lines


def test_dictionary_is_json_without_nan(rated):
    undefined = evaluate_whole(rated, np.zeros(360), name="constant", resamples=2)
    content = to_dict([undefined], published("csiq"))
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert content["measured"][0]["rows"][0]["srcc"] == {"value": None, "low": None, "high": None}
    assert len(content["published"]) == 11
