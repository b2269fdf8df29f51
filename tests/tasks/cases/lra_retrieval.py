from tests.tasks.cases import Case
from tests.tasks.official_files import temporary_folder, write_pairs

ROWS = [
    (label, f'paper "{i}" cites'.encode() * (i % 3), f"{i} caf\u00e9 text".encode())
    for i, label in enumerate(["0", "1", "0.0", "1.0", "0"] * 2)
]

folder = temporary_folder()
write_pairs(folder, {"train": ROWS, "eval": ROWS[:4], "test": ROWS[2:9]})

CASE = Case(
    variants=[{"folder": str(folder), "length": 10}, {"folder": str(folder), "length": 30}],
    golden="65de5acc8151fb29",
)
