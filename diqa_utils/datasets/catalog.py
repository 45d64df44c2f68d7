"""What is known about every database: its counts, its scale, where to get it and on what terms.

The direction of a score is handled here and nowhere else.
"""

from dataclasses import dataclass, replace

__all__ = ["CATALOG", "Scale"]


@dataclass(frozen=True)
class Scale:
    """Where the scores of a database lie, and which end is the good one.

    Attributes:
        lowest: no score is smaller.
        highest: no score is larger.
        higher_is_better: True for a MOS, False for a DMOS.

    Chapter: notebooks/01-building-the-dataset.ipynb
    """

    lowest: float
    highest: float
    higher_is_better: bool

    def quality(self, score: float) -> float:
        """Returns the score as a quality: 0 is the worst end of the scale, 1 the best."""
        share = (score - self.lowest) / (self.highest - self.lowest)
        return share if self.higher_is_better else 1 - share

    def __contains__(self, score: float) -> bool:
        """Whether a score lies on the scale; NaN lies nowhere."""
        return self.lowest <= score <= self.highest


@dataclass(frozen=True)
class Database:
    """What is known about a database before its files are read.

    Attributes:
        name: of the builder; after a slash, the name of a variant.
        title: as people call it.
        splits: the pictures in each part that `load` gives unasked; empty where nobody knows.
        references: pristine pictures that they were made from; 0 where there are none.
        distortions: types in the release; 0 where pictures came with their faults.
        score: what the database's own number is called.
        scale: of that number.
        home: where its owners distribute it.
        terms: what they allow, in a few words.
        files: what to fetch, and what must be in the folder.
        flag: what marks the pictures that `load` leaves out unless it is asked for them; also the
            name of the part that holds them.
        flagged: how many pictures that part has.
        size: (height, width) that its pictures have; None where they differ.
    """

    name: str
    title: str
    splits: dict[str, int]
    references: int
    distortions: int
    score: str
    scale: Scale
    home: str
    terms: str
    files: str = ""
    flag: str | None = None
    flagged: int = 0
    size: tuple[int, int] | None = None

    @property
    def builder(self) -> str:
        """The name of the folder of its builder."""
        return self.name.partition("/")[0]

    @property
    def counts(self) -> dict[str, int]:
        """The pictures in every part, the one that is left out by default included."""
        return self.splits | ({self.flag: self.flagged} if self.flag else {})


_LIVE = Database(
    name="live_iqa",
    title="LIVE, release 2",
    splits={"rated": 779},
    references=29,
    distortions=5,
    score="DMOS, realigned",
    # The published numbers leave 0..100 at both ends.
    scale=Scale(-3, 112, higher_is_better=False),
    home="https://live.ece.utexas.edu/research/quality/subjective.htm",
    terms="any use with the copyright notice kept and the laboratory acknowledged",
    files=(
        "Fetch release 2 of the database, unpack it with the password that its owners send you, "
        "and add dmos_realigned.mat, a separate file on the same page. The folder then holds jp2k, "
        "jpeg, wn, gblur, fastfading, refimgs, dmos.mat, dmos_realigned.mat and refnames_all.mat."
    ),
    flag="pristine",
    flagged=203,
)

_TID2013 = Database(
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
    size=(384, 512),
)

#: Every database that `load` knows, by name.
CATALOG: dict[str, Database] = {
    database.name: database
    for database in (
        Database(
            name="sample_iqa",
            title="the book's own sample",
            splits={"train": 650, "validation": 250, "test": 250},
            references=46,
            distortions=5,
            score="pseudo-DMOS, computed",
            scale=Scale(0, 100, higher_is_better=False),
            home="made on this machine",
            terms="free; the licences of the photographs are in the packages",
            size=(192, 192),
        ),
        _LIVE,
        replace(
            _LIVE,
            name="live_iqa/raw",
            title="LIVE, first scores",
            score="DMOS",
            scale=Scale(0, 100, higher_is_better=False),
        ),
        replace(
            _TID2013,
            name="tid2008",
            title="TID2008",
            splits={"rated": 1700},
            references=25,
            distortions=17,
            home="http://www.ponomarenko.info/tid2008.htm",
            terms="education and research, free of charge; see the readme in the archive",
            files=(
                "Fetch tid2008.rar and unpack it. The folder then holds "
                "distorted_images, reference_images, mos_with_names.txt and mos_std.txt."
            ),
            flag=None,
            flagged=0,
        ),
        _TID2013,
        Database(
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
                "Fetch the source images, the distorted images and csiq.DMOS.xlsx. The folder "
                "holds the spreadsheet and either the archives or what is in them: src_imgs and "
                "dst_imgs."
            ),
            size=(512, 512),
        ),
        Database(
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
                "Fetch kadid10k.zip. The folder holds either the archive or what is in it: images "
                "and dmos.csv."
            ),
            size=(384, 512),
        ),
        Database(
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
                "Pass download=True, or --download on the command line, and all of it is fetched "
                "(about half a gigabyte) and verified. Or clone the repository yourself. The "
                "folder holds Images, 'Train (Images and MOS).csv' and 'Test (Images and MOS).csv'."
            ),
        ),
        Database(
            name="folder_iqa",
            title="a folder of your own",
            splits={},
            references=0,
            distortions=0,
            score="yours",
            scale=Scale(0, 1, higher_is_better=True),
            home="your disk",
            terms="yours",
            files=(
                "The folder holds scores.csv with the columns image and score, and if you have "
                "them reference, reference_id, distortion, level, score_std and split; pictures "
                "are named as seen from the folder."
            ),
        ),
    )
}
