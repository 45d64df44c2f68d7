"""TID2013: 25 references, one of them synthetic, 24 distortions at 5 levels."""

from diqa_utils.datasets.builder import instructions
from diqa_utils.datasets.files import DatabaseFiles, check_archive
from diqa_utils.datasets.rows import Row, csv_rows, to_number
from diqa_utils.datasets.tid import TidBuilder

#: The archive of the tutorial that this project descends from; its server is gone.
MIRROR_SIZE = 1_218_939_259
MIRROR_SHA256 = "824177499a083a880fad9df2d90e7483cbb4ad3cf711dea03bfcda2a75db68b4"
MIRROR_TABLE = "tid2013/mos.csv"


class Builder(TidBuilder):
    """TFDS builder of TID2013 from its official release, or from the tutorial's old mirror."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = instructions("tid2013")

    def read_rows(self, files: DatabaseFiles) -> list[Row]:
        """Reads the score files of the release, or the mirror's table, which has no spread."""
        if "mos_with_names.txt" in files or MIRROR_TABLE not in files:
            return super().read_rows(files)
        if archive := files.archive_of(MIRROR_TABLE):
            check_archive(archive, size=MIRROR_SIZE, sha256=MIRROR_SHA256)
        columns = ("distorted_path", "reference_path", "mos")
        table = csv_rows(files.read(MIRROR_TABLE), name=MIRROR_TABLE, columns=columns)
        return [
            self.row(
                place,
                cells["distorted_path"].replace("\\", "/").rsplit("/", maxsplit=1)[-1],
                to_number(cells["mos"], place=place, column="mos"),
                None,
            )
            for place, cells in table
        ]
