"""What is known about a database before its files are read.

The direction of a score is handled here and nowhere else.
"""

from dataclasses import dataclass

__all__ = ["Database", "Scale"]


@dataclass(frozen=True)
class Scale:
    """Where the scores of a database lie, and which end is the good one.

    Attributes:
        lowest: Smallest score that there can be.
        highest: Largest score that there can be.
        higher_is_better: True for a MOS, False for a DMOS.
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
        name: Name that loads it; after a slash, that of a variant.
        title: Name that people use.
        splits: Number of pictures in each part that `load` gives unasked; empty if it varies.
        references: Number of pristine pictures that the others were made from.
        distortions: Number of types; 0 where the pictures came with their faults.
        score: Kind of score, in words.
        scale: Scale of that score.
        home: Address where its owners distribute it.
        terms: What they allow, in a few words.
        files: What to fetch, and what the folder must hold.
        flag: Name of the part that `load` leaves out unless it is asked for it, and of the feature
            that marks its pictures.
        flagged: Number of pictures in that part.
        config: Name of the builder's configuration, where it has several.
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
    config: str | None = None

    @property
    def folder(self) -> str:
        """Name of the folder of its builder, here and among the built databases."""
        return self.name.partition("/")[0]

    @property
    def counts(self) -> dict[str, int]:
        """Number of pictures in every part, the one that is left out by default included."""
        return self.splits | ({self.flag: self.flagged} if self.flag else {})

    @property
    def instructions(self) -> str:
        """What a person has to do to get the files."""
        return (
            f"{self.title} comes from {self.home} (terms: {self.terms}).\n{self.files}\n"
            "Then pass that folder, or the zip archive itself, as manual_dir (--manual-dir on the "
            "command line)."
        )
