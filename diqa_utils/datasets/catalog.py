"""The databases that the library knows, and which of them are on this machine."""

import io
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from diqa_utils.datasets import (
    biq2021,
    csiq,
    folder_iqa,
    kadid10k,
    live_iqa,
    sample_iqa,
    tid2008,
    tid2013,
)
from diqa_utils.datasets.database import Database

__all__ = ["CATALOG", "Availability", "Catalog"]

#: Every database that `load` knows, by name.
CATALOG: dict[str, Database] = {
    database.name: database
    for database in (
        sample_iqa.DATABASE,
        live_iqa.DATABASE,
        live_iqa.RAW,
        tid2008.DATABASE,
        tid2013.DATABASE,
        csiq.DATABASE,
        kadid10k.DATABASE,
        biq2021.DATABASE,
        folder_iqa.DATABASE,
    )
}

TITLES = ("name", "installed", "pictures", "score", "from")


@dataclass(frozen=True)
class Availability:
    """A database, and whether it is built on this machine, whole or at least a part of it."""

    database: Database
    built: bool
    built_in_part: bool = False

    @property
    def cells(self) -> tuple[str, ...]:
        """The row of the table, in the order of its titles, and the terms."""
        database, scale = self.database, self.database.scale
        pictures = [f"{count:,} {part}" for part, count in database.splits.items()]
        if database.flag:
            pictures.append(f"{database.flagged:,} {database.flag} if asked for")
        better = "higher" if scale.higher_is_better else "lower"
        score = f"{database.score}, {scale.lowest:g} to {scale.highest:g}, {better} is better"
        return (
            database.name,
            "yes" if self.built else "in part" if self.built_in_part else "no",
            ", ".join(pictures) or "yours",
            score if database.splits else "yours",
            database.home,
            database.terms,
        )


class Catalog(dict[str, Availability]):
    """The databases by name; prints as a table."""

    def __repr__(self) -> str:
        table = Table(box=SIMPLE_HEAD)
        for title in TITLES:
            table.add_column(title, no_wrap=title == "name", overflow="fold")
        for entry in self.values():
            *cells, home, terms = entry.cells
            table.add_row(*cells, f"{home}\n{terms}")
        text = io.StringIO()
        Console(file=text).print(table)
        return text.getvalue()
