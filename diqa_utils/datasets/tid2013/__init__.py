"""The database `tid2013`."""

from diqa_utils.datasets.database import Database, Scale

DATABASE = Database(
    name="tid2013",
    title="TID2013",
    splits={"rated": 2880},
    references=24,
    distortions=24,
    score="MOS",
    scale=Scale(0, 9, higher_is_better=True),
    home="http://www.ponomarenko.info/tid2013.htm",
    terms="see the readme in the archive",
    files=(
        "Fetch tid2013.rar and unpack it. The folder then holds "
        "distorted_images, reference_images, mos_with_names.txt and mos_std.txt."
    ),
    flag="synthetic",
    flagged=120,
)
