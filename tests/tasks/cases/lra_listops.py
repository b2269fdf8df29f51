from tests.tasks.cases import Case
from tests.tasks.official_files import as_it_is_written, temporary_folder, write_expressions

ROWS = [
    ("[MAX 2 9 [MIN 4 7 ] 0 ]", 9),
    ("[MIN 8 3 ]", 3),
    ("[MED 1 4 7 8 ]", 5),
    ("[SM 7 8 [MED 3 6 5 ] ]", 0),
    ("[MIN [MAX 1 2 ] [SM 9 9 9 ] 4 ]", 2),
    ("[SM 1 1 ]", 2),
    ("[MAX 0 [MED 5 6 ] 1 ]", 5),
    ("[SM 5 [MIN 6 [MAX 2 3 ] ] ]", 8),
]
WRITTEN = [(as_it_is_written(expression), value) for expression, value in ROWS]

folder = temporary_folder()
write_expressions(folder, {"train": WRITTEN, "val": WRITTEN[:4], "test": WRITTEN[1:]})

CASE = Case(
    variants=[{"folder": str(folder), "length": 12}, {"folder": str(folder), "length": 20}],
    golden="7f5a8c9ee929171f",
)
