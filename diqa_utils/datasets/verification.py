"""Does a copy of a database hold all that its owners published, and can all of it be read?"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tqdm.auto import tqdm

from diqa_utils.datasets.builder import IqaBuilder
from diqa_utils.datasets.files import DatabaseFiles
from diqa_utils.datasets.pictures import encoded, same_shape_problem, without_warnings
from diqa_utils.datasets.rows import Row, count_problems, row_problems

Shape = tuple[int, int]


@dataclass
class Report:
    """What was looked at in a copy of a database, and what is wrong with it.

    Attributes:
        name: of the database.
        folder: where its files are.
        rows: rows of the score files.
        pictures: files that were read and decoded, references included.
        problems: one sentence each; empty if all is well.

    Chapter: notebooks/01-building-the-dataset.ipynb
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
        found = f"{self.rows:,} rows, {self.pictures:,} pictures read, "
        number = len(self.problems)
        found += f"{number:,} problem{'s' if number > 1 else ''}" if number else "no problem"
        return "\n".join([f"{self.name} in {str(self.folder)!r}: {found}.", *self.problems])


def verify_files(builder: IqaBuilder, name: str, files: DatabaseFiles) -> Report:
    """Reads every row and every picture of a copy of a database, and notes what is wrong."""
    report = Report(name, files.root)
    try:
        rows = builder.read_rows(files)
    except (ValueError, FileNotFoundError) as error:
        report.problems.append(str(error))
        return report
    report.rows = len(rows)
    report.problems += row_problems(rows, builder.database)
    if builder.complete:
        report.problems += count_problems(rows, builder.database)
    if not rows:
        report.problems.append(f"{name} has no rows.")
    with without_warnings():
        shapes = _check_pictures(builder, rows, files, report)
    report.pictures = len(shapes)
    report.problems += _shape_problems(rows, shapes)
    return report


def _check_pictures(
    builder: IqaBuilder, rows: list[Row], files: DatabaseFiles, report: Report
) -> dict[str, Shape]:
    names = dict.fromkeys(name for row in rows for name in (row.distorted, row.reference) if name)
    shapes = {}
    for name in tqdm(names, f"verifying {report.name}", unit=" pictures", leave=False):
        try:
            content = files.read(name)
            _, shapes[name] = encoded(content, name)
        except (ValueError, FileNotFoundError) as error:
            report.problems.append(str(error))
            continue
        if problem := builder.file_problem(name, content):
            report.problems.append(problem)
        expected = builder.database.size
        if expected and shapes[name] != expected:
            sizes = [f"{height} x {width}" for height, width in (shapes[name], expected)]
            report.problems.append(f"{name!r} has {sizes[0]} pixels and should have {sizes[1]}.")
    return shapes


def _shape_problems(rows: list[Row], shapes: dict[str, Shape]) -> Iterator[str]:
    for row in rows:
        if row.reference and row.distorted in shapes and row.reference in shapes:
            pair = (row.distorted, shapes[row.distorted], row.reference, shapes[row.reference])
            if problem := same_shape_problem(*pair):
                yield problem
