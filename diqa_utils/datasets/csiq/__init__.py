"""The database `csiq`."""

from diqa_utils.datasets.database import Database, Scale

DATABASE = Database(
    name="csiq",
    title="CSIQ",
    splits={"rated": 866},
    references=30,
    distortions=6,
    score="DMOS",
    scale=Scale(0, 1, higher_is_better=False),
    home="https://s2.smu.edu/~eclarson/csiq.html",
    terms="see its authors' page",
    files=(
        "Fetch the source images, the distorted images and csiq.DMOS.xlsx. The folder holds the "
        "spreadsheet and either the archives or what is in them: src_imgs and dst_imgs."
    ),
)
