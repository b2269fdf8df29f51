from tests.tasks.cases import Case
from tests.tasks.official_files import (
    temporary_folder,
    write_reviews_as_files,
    write_reviews_as_tables,
)

SAID = ["a fine film", "dull", 'he said "no", twice', "caf\u00e9 noir\nsecond line", "so, so", "ok"]
ROWS = [(index % 2, f"{text} {index}") for index, text in enumerate(SAID * 3)]

tables, files = temporary_folder(), temporary_folder()
write_reviews_as_tables(tables, {"train": ROWS, "test": ROWS[:9]})
halves = {"train": ROWS, "test": ROWS[:9]}
write_reviews_as_files(
    files, {half: [(label, text.encode()) for label, text in rows] for half, rows in halves.items()}
)

CASE = Case(
    variants=[
        {"folder": str(tables), "length": 12},
        {"folder": str(files), "length": 40, "held_out": 0.0},
    ],
    golden="bb7596bb0234066f",
)
