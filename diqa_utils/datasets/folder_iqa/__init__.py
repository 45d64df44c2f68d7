"""The database `folder_iqa`."""

from diqa_utils.datasets.database import Database, Scale

DATABASE = Database(
    name="folder_iqa",
    title="A folder of your own",
    splits={},
    references=0,
    distortions=0,
    score="yours",
    scale=Scale(0, 1, higher_is_better=True),
    home="your disk",
    terms="yours",
    files=(
        "The folder holds scores.csv with the columns image and score, and if you have them "
        "reference, reference_id, distortion, level, score_std and split; pictures are named as "
        "seen from the folder. Options say what is called otherwise."
    ),
)
