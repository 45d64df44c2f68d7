"""The sample database `sample_iqa`."""

from diqa_utils.datasets.database import Database, Scale

DATABASE = Database(
    name="sample_iqa",
    title="the book's own sample",
    splits={"train": 650, "validation": 250, "test": 250},
    references=46,
    distortions=5,
    score="pseudo-DMOS, computed",
    scale=Scale(0, 100, higher_is_better=False),
    home="made on this machine",
    terms="free; the licences of the photographs are in the packages",
)
