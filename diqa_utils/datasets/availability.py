"""The table of databases, and which of them are on this machine."""

import io
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.table import Table

from diqa_utils.datasets.catalog import Database

TITLES = ("name", "installed", "pictures", "references", "score", "better", "from", "terms")

#: Columns of the first table on a terminal; the others are in the second.
COUNTS = 6

#: Characters in a line that is wide enough for both.
WIDTH = 110


@dataclass(frozen=True)
class Availability:
    """A database, and whether it is built on this machine, whole or at least a part of it."""

    database: Database
    built: bool
    built_in_part: bool = False

    @property
    def cells(self) -> tuple[str, ...]:
        """The row of the table, in the order of its titles."""
        database = self.database
        return (
            database.name,
            "yes" if self.built else "in part" if self.built_in_part else "no",
            *(self._holds if database.splits else ["yours"] * len(self._holds)),
            database.home,
            database.terms,
        )

    @property
    def _holds(self) -> tuple[str, ...]:
        database, scale = self.database, self.database.scale
        counts = [f"{count:,} {part}" for part, count in database.splits.items()]
        if database.flag:
            counts.append(f"({database.flagged:,} {database.flag} left out)")
        return (
            ", ".join(counts).replace(" rated", "").replace(", (", " ("),
            str(database.references or "none"),
            f"{database.score}, {scale.lowest:g} to {scale.highest:g}",
            "higher" if scale.higher_is_better else "lower",
        )


class Catalog(dict[str, Availability]):
    """The databases by name; prints as a table, in a notebook too."""

    def __rich__(self) -> Group:
        """The table for a terminal, in two parts: what they hold, and where to get them."""
        counts, sources = Table(box=SIMPLE_HEAD), Table(box=SIMPLE_HEAD)
        for title in TITLES[:COUNTS]:
            counts.add_column(title, no_wrap=title == "name")
        sources.add_column("name", no_wrap=True)
        sources.add_column("from, and on what terms", overflow="fold")
        for entry in self.values():
            counts.add_row(*entry.cells[:COUNTS])
            sources.add_row(entry.database.name, "\n".join(entry.cells[COUNTS:]))
        return Group(counts, sources)

    def __str__(self) -> str:
        text = io.StringIO()
        Console(file=text, width=WIDTH).print(self)
        return text.getvalue()

    def _repr_markdown_(self) -> str:
        lines = [TITLES, ("---",) * len(TITLES)]
        for entry in self.values():
            *holds, home, terms = entry.cells
            lines.append((*holds, f"[its owners]({home})" if "://" in home else home, terms))
        return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
