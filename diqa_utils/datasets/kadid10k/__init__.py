"""The database `kadid10k`."""

from diqa_utils.datasets.database import Database, Scale

DATABASE = Database(
    name="kadid10k",
    title="KADID-10k",
    splits={"rated": 10125},
    references=81,
    distortions=25,
    score='MOS, in a column called "dmos"',
    scale=Scale(1, 5, higher_is_better=True),
    home="https://database.mmsp-kn.de/kadid-10k-database.html",
    terms="see its authors' page",
    files=(
        "Fetch kadid10k.zip. The folder holds either the archive or what is in it: images and "
        "dmos.csv."
    ),
)
