"""The database `tid2008`."""

from diqa_utils.datasets.database import Database, Scale

DATABASE = Database(
    name="tid2008",
    title="TID2008",
    splits={"rated": 1700},
    references=25,
    distortions=17,
    score="MOS",
    scale=Scale(0, 9, higher_is_better=True),
    home="http://www.ponomarenko.info/tid2008.htm",
    terms="education and research, free of charge; see the readme in the archive",
    files=(
        "Fetch tid2008.rar and unpack it. The folder then holds "
        "distorted_images, reference_images, mos_with_names.txt and mos_std.txt."
    ),
)
