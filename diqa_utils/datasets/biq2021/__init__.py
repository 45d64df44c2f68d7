"""The database `biq2021`."""

from diqa_utils.datasets.database import Database, Scale

DATABASE = Database(
    name="biq2021",
    title="BIQ2021",
    splits={"train": 10000, "test": 2000},
    references=0,
    distortions=0,
    score="MOS",
    scale=Scale(0, 1, higher_is_better=True),
    home="https://github.com/nisarahmedrana/BIQ2021",
    terms="no licence file; its paper allows use and benchmarking",
    files=(
        "Pass download=True, or --download on the command line, and all of it is fetched (about "
        "half a gigabyte) and verified. Or clone the repository yourself. The folder holds Images, "
        "'Train (Images and MOS).csv' and 'Test (Images and MOS).csv'."
    ),
)
