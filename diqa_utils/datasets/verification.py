"""Does a copy of a database hold all that its owners published, and can all of it be read?"""

from dataclasses import dataclass, field
from pathlib import Path

from tqdm.auto import tqdm

from diqa_utils.datasets.builder import IqaBuilder
from diqa_utils.datasets.files import DatabaseFiles
from diqa_utils.datasets.pictures import encoded, same_shape_problem
from diqa_utils.datasets.rows import Row, all_problems, picture_names


@dataclass
class Report:
    """What was looked at in a copy of a database, and what is wrong with it.

    Attributes:
        name: Name of the database.
        folder: Folder or archive with its files.
        rows: Number of rows in the score files.
        pictures: Number of files that were read and decoded, references included.
        problems: One sentence for each fault; empty if all is well.
    """

    name: str
    folder: Path
    rows: int = 0
    pictures: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def __str__(self) -> str:
        number = len(self.problems)
        verdict = f"{number:,} problem{'s' if number > 1 else ''}" if number else "no problem"
        counts = f"{self.rows:,} rows, {self.pictures:,} pictures read, {verdict}"
        return "\n".join([f"{self.name} in {str(self.folder)!r}: {counts}.", *self.problems])


def verify_files(builder: IqaBuilder, name: str, files: DatabaseFiles) -> Report:
    """Reads every row and every picture of a copy of a database, and notes what is wrong."""
    report = Report(name, files.root)
    try:
        rows = builder.read_rows(files)
    except (ValueError, OSError) as error:
        report.problems.append(str(error))
        return report
    report.rows = len(rows)
    report.problems += all_problems(rows, builder.database, complete=builder.complete)
    shapes = _check_pictures(builder, rows, files, report)
    report.pictures = len(shapes)
    for row in rows:
        if row.reference and row.distorted in shapes and row.reference in shapes:
            pair = (row.distorted, shapes[row.distorted], row.reference, shapes[row.reference])
            if problem := same_shape_problem(*pair):
                report.problems.append(problem)
    return report


def _check_pictures(
    builder: IqaBuilder, rows: list[Row], files: DatabaseFiles, report: Report
) -> dict[str, tuple[int, int]]:
    """Notes which pictures are faulty; returns the (height, width) of all that can be read."""
    shapes = {}
    for name in tqdm(
        picture_names(rows), f"verifying {report.name}", unit=" pictures", leave=False
    ):
        try:
            content = files.read(name)
            _, shapes[name] = encoded(content, name)
        except (ValueError, OSError) as error:
            report.problems.append(str(error))
            continue
        if problem := builder.file_problem(name, content):
            report.problems.append(problem)
    return shapes
