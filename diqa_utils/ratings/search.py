"""Better settings for a training on human ratings: Optuna tries recipes, validation judges them.

A search space is a recipe in which some settings are ranges. Each trial trains a recipe that Optuna
draws from it, by the tree-structured Parzen estimator, and is given up where its first epochs are
worse than the median of the trials before. All trials lie in one SQLite file, so that a search goes
on after a stop and several processes share it. Each says again and again that it is alive: by that
the trial of one that was killed is found, and done again from its last epoch.

Pictures for calibration and tests are not even loaded: nothing is chosen by what measures it later.

Source:
    Akiba, Sano, Yanase, Ohta, Koyama: Optuna: A Next-generation Hyperparameter Optimization
        Framework. KDD 2019. https://doi.org/10.1145/3292500.3330701
"""

from __future__ import annotations

import copy
import dataclasses
import json
import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from filelock import FileLock

from diqa_utils._internal.files import check_same, fingerprint, write_text
from diqa_utils.metrics import plcc, srcc
from diqa_utils.ratings.pretraining import pristine_pictures
from diqa_utils.ratings.protocol import DatabasePart
from diqa_utils.ratings.recipe import RatingsRecipe
from diqa_utils.ratings.runs import check_counts, check_pictures, deal_out, train_on_part

__all__ = ["SearchSpace", "search"]

#: What trials can be judged by.
OBJECTIVES = {"srcc": srcc, "plcc": plcc}

#: The groups of settings that have a part in the score of a predictor.
SEARCHED = {"extended": ["statistics"], "diqa": ["error_maps", "features"]}

EXAMPLE = '{"from": 0.25, "to": 4, "log": true} or {"one_of": [1, 2, 3]}'

#: Seconds between two signs of life of a process, and after the last one until it counts as dead.
HEARTBEAT, GRACE = 10, 60

#: Finished trials before one is pruned, and the epoch of a trial after which it may be.
TRIALS_BEFORE_PRUNING, FIRST_EPOCH_TO_PRUNE = 5, 3


@dataclass(frozen=True)
class SearchSpace:
    """A recipe in which some settings are ranges.

    Attributes:
        settings: The settings that are fixed, as in a recipe.
        ranges: Of each other one, by a name such as "features.crop_size", an object with `from`,
            `to` and perhaps `log`, or with `one_of`.

    Chapter: notebooks/16-search.ipynb
    """

    settings: Mapping[str, Any]
    ranges: Mapping[str, Mapping[str, Any]]

    @classmethod
    def from_json(cls, text: str) -> SearchSpace:
        """Reads a recipe in which `{"from": 0.25, "to": 4, "log": true}` may stand for a number.

        For any setting of a group there may be `{"one_of": [1, 2, 3]}`; `log` may be left out.

        Raises:
            ValueError: It is no recipe; or a range is wrong, has no part in the score of the
                predictor, or there is none.
        """
        try:
            settings = json.loads(text)
        except (ValueError, RecursionError):
            settings = None
        if not isinstance(settings, dict):
            RatingsRecipe.from_json(text)  # says what is wrong
        groups = {group: inner for group, inner in settings.items() if isinstance(inner, dict)}
        ranges = {
            f"{group}.{name}": inner.pop(name)
            for group, inner in groups.items()
            for name in list(inner)
            if isinstance(inner[name], dict)
        }
        space = cls(settings, ranges)
        predictor = space.recipe({}).predictor
        if not ranges:
            raise ValueError(f"no setting of a group is a range: write {EXAMPLE} for one.")
        for name, wanted in ranges.items():
            if name.split(".")[0] not in SEARCHED[predictor]:
                raise ValueError(
                    f"{name} has no part in the score of {predictor!r}: search in "
                    f"{' and '.join(SEARCHED[predictor])}."
                )
            space._check(name, wanted)
        return space

    @classmethod
    def from_file(cls, file: str | PathLike[str]) -> SearchSpace:
        """Reads a space from a file; what is wrong with it is said with the file's name."""
        try:
            return cls.from_json(Path(file).read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{str(file)!r} is not a recipe to search: {error}") from error

    def recipe(self, values: Mapping[str, Any]) -> RatingsRecipe:
        """Returns the recipe with these values of its ranges, and defaults of those left out."""
        settings = copy.deepcopy(dict(self.settings))
        for name, value in values.items():
            group, setting = name.split(".")
            settings.setdefault(group, {})[setting] = value
        return RatingsRecipe.from_json(json.dumps(settings))

    def draw(self, trial: Any) -> RatingsRecipe:
        """Returns the recipe of an Optuna trial, which suggests a value of each range."""
        values = {}
        for name, wanted in self.ranges.items():
            kind, step = _kind_and_step(name)
            place = {"step": step} if step > 1 else {"log": wanted.get("log", False)}
            if "one_of" in wanted:
                values[name] = trial.suggest_categorical(name, wanted["one_of"])
            else:
                suggest = trial.suggest_int if kind is int else trial.suggest_float
                values[name] = suggest(name, wanted["from"], wanted["to"], **place)
        return self.recipe(values)

    def _check(self, name: str, wanted: Mapping[str, Any]) -> None:
        """Raises a ValueError that says what is wrong with a range."""
        choices, log = _choices(wanted), wanted.get("log", False)
        keys, ends = wanted.keys(), {"from", "to"}
        right = keys == {"one_of"} or ends <= keys <= ends | {"log"}
        right = right and isinstance(choices, list) and isinstance(log, bool)
        for value in choices if right else ():
            self.recipe({name: value})  # the recipe's own limits hold
        if right and "one_of" in wanted:
            right = len(set(choices)) > 1
        elif right:
            kind, step = _kind_and_step(name)
            right = kind is not bool and choices[0] < choices[1]
            right = right and not (log and (choices[0] <= 0 or step > 1))
        if not right:
            raise ValueError(
                f"{name} cannot be {json.dumps(wanted)}: write {EXAMPLE}, with two values or more, "
                "the lower end first, and log only above zero and without fixed steps."
            )


@dataclass(frozen=True)
class _Seen(DatabasePart):
    """Some references of a part: no other picture can be loaded."""

    references: tuple[str, ...] = ()

    def load(self, references: Sequence[str] | None = None) -> tf.data.Dataset:
        return super().load(references or self.references)

    def table(self) -> dict[str, np.ndarray]:
        table = super().table()
        rows = np.isin(table["reference_id"], self.references)
        return {name: values[rows] for name, values in table.items()}


def search(
    space: SearchSpace,
    part: DatabasePart,
    *,
    trials: int,
    folder: str | PathLike[str],
    storage: str | PathLike[str] | None = None,
    objective: str = "srcc",
    pristine: str | PathLike[str] | None = None,
    progress: bool = True,
) -> Any:
    """Tries recipes until so many trials have ended, and keeps the one that agrees best.

    The recipe's seed settles what one process finds that is not stopped. Step 1 of the extended
    predictor has no part in its score, and is left to the later training.

    Args:
        space: What to choose from.
        part: Database and part to learn from, dealt out as `RatingsRun` does it.
        trials: Trials to end, in all processes and restarts together, counting pruned ones. What
            other processes have begun by then still comes to its end.
        folder: Folder for `trials.json`, the best recipe, `best.json`, prepared pictures, and the
            checkpoints of finished trials; processes may share it.
        storage: SQLite file of the trials; `search.db` in the folder if None.
        objective: "srcc" or "plcc" on the validation pictures.
        pristine: Folder of pictures without visible faults, for step 1 and for worse copies.
        progress: Whether to show a progress bar.

    Returns:
        The `optuna.Study` that holds the trials.

    Raises:
        ImportError: Optuna is not installed.
        ValueError: The storage belongs to another search or is none, the pictures are too few or
            too small for a recipe of the space, or an argument is not one of those above.
        FileNotFoundError: The database or the pristine pictures are not there.

    Chapter: notebooks/16-search.ipynb
    """
    try:
        import optuna
    except ImportError:
        raise ImportError(
            'Optuna is not installed: python -m pip install "diqa-utils[search]".'
        ) from None
    if objective not in OBJECTIVES or trials < 1:
        raise ValueError(
            f"objective must be {' or '.join(OBJECTIVES)} and trials 1 or more, not {objective!r} "
            f"and {trials}."
        )
    root, table, metric = Path(folder), part.table(), OBJECTIVES[objective]
    file = root / "search.db" if storage is None else Path(storage)
    ids = {name: chosen.tolist() for name, chosen in deal_out(table).items()}
    check_counts(ids)
    del ids["calibration"]
    rows = np.isin(table["image_id"], ids["train"] + ids["validation"])
    seen = _Seen(**vars(part), references=tuple(sorted(set(table["reference_id"][rows].tolist()))))
    quality = dict(zip(table["image_id"].tolist(), table["quality"].tolist(), strict=True))
    wanted = [quality[image_id] for image_id in ids["validation"]]
    clean = [] if pristine is None else pristine_pictures(pristine)
    choices = {name: _choices(each) for name, each in space.ranges.items()}
    for end in (min, max):
        recipe = _in_trials(space.recipe({name: end(each) for name, each in choices.items()}))
        check_pictures(recipe, seen, ids, clean, root / "pictures", progress)
    step_1 = any(name.startswith("error_maps.") for name in choices)
    facts = {
        "settings": space.settings,
        "ranges": {name: json.dumps(each) for name, each in space.ranges.items()},
        "objective": objective,
        "database": part.label,
        "pictures": seen.fingerprint(),
        "pristine": fingerprint(pristine=clean),
    }
    for place in (root, file.parent):
        place.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{file}.lock"):
        study = _study(file)
        check_same(file, study.user_attrs.get("made of", facts), facts, "file")
        study.set_user_attr("made of", facts)
        # Each process draws trials of its own.
        process = study.user_attrs.get("processes", 0)
        study.set_user_attr("processes", process + 1)

    def value_of(trial: Any) -> float:
        # A trial that is done again goes on in the folder of the first attempt.
        first = trial.user_attrs.get("first", trial.number)
        trial.set_user_attr("first", first)
        place = root / "trials" / f"{first:04}"

        def after_epoch(epoch: int, scores: np.ndarray) -> None:
            agrees = np.isfinite(scores).all() and np.ptp(scores) > 0
            if agrees:
                trial.report(metric(scores, wanted), epoch)
            if not agrees or trial.should_prune():
                raise optuna.TrialPruned

        try:
            trained, pictures = train_on_part(
                _in_trials(space.draw(trial)),
                seen,
                ids,
                clean,
                place,
                # Of pictures that are prepared for its own alpha no other trial has any use.
                (place if "error_maps.alpha" in choices else root) / "pictures",
                progress=False,
                error_maps=place if step_1 else root,
                after_epoch=after_epoch,
            )
        except optuna.TrialPruned:
            shutil.rmtree(place)
            raise
        scores = trained.predict(pictures, pictures.rows_of(ids["validation"]))[:, 0]
        shutil.rmtree(place / "pictures", ignore_errors=True)
        return metric(scores, wanted)

    seed = np.random.SeedSequence((space.recipe({}).seed, process)).generate_state(1)[0]
    study.sampler = optuna.samplers.TPESampler(seed=int(seed), constant_liar=True)
    ended = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    left = trials - len(study.get_trials(states=ended))
    try:
        if left > 0:
            enough = optuna.study.MaxTrialsCallback(trials, states=ended)
            study.optimize(value_of, left, callbacks=[enough], show_progress_bar=progress)
    finally:
        _write(study, space, root)
    return study


def _choices(wanted: Mapping[str, Any]) -> Any:
    """The values of a range that are named: all of them, or both ends."""
    return wanted.get("one_of", [wanted.get("from"), wanted.get("to")])


def _kind_and_step(name: str) -> tuple[type, int]:
    """The type of a setting, and what its values are multiples of."""
    group, setting = name.split(".")
    fields = {entry.name: entry for entry in dataclasses.fields(getattr(RatingsRecipe(), group))}
    return type(fields[setting].default), fields[setting].metadata.get("multiple_of", 1)


def _in_trials(recipe: RatingsRecipe) -> RatingsRecipe:
    """Returns a recipe without step 1 where that has no part in the score."""
    error_maps = replace(recipe.error_maps, epochs=0)
    return recipe if recipe.predictor == "diqa" else replace(recipe, error_maps=error_maps)


def _study(file: Path) -> Any:
    """Opens the study in a storage, or makes both."""
    import optuna
    from sqlalchemy.exc import DatabaseError  # which Optuna needs itself

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            storage = optuna.storages.RDBStorage(
                f"sqlite:///{file.absolute()}",
                {"connect_args": {"timeout": 100}},
                heartbeat_interval=HEARTBEAT,
                grace_period=GRACE,
                heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(),
            )
            pruner = optuna.pruners.MedianPruner(TRIALS_BEFORE_PRUNING, FIRST_EPOCH_TO_PRUNE)
            kind: Any = {"study_name": "search", "direction": "maximize", "load_if_exists": True}
            return optuna.create_study(storage=storage, pruner=pruner, **kind)
    except (DatabaseError, RuntimeError) as error:
        raise ValueError(
            f"{str(file)!r} is not the storage of a search, or is of another version of Optuna: "
            "take another file."
        ) from error


def _write(study: Any, space: SearchSpace, folder: Path) -> None:
    """Writes all trials, and the recipe of the best one."""
    trials = [
        {
            "trial": trial.number,
            "state": trial.state.name.lower(),
            "value": trial.value,
            "settings": trial.params,
            "by_epoch": trial.intermediate_values,
        }
        for trial in study.get_trials(deepcopy=False)
    ]
    content = {"made_of": study.user_attrs["made of"], "trials": trials}
    write_text(folder / "trials.json", json.dumps(content, indent=2) + "\n")
    if any(trial["state"] == "complete" for trial in trials):
        best = asdict(space.recipe(study.best_params))
        write_text(folder / "best.json", json.dumps(best, indent=2) + "\n")
