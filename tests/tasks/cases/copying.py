from tests.tasks.cases import Case

CASE = Case(
    variants=[
        {},
        {"alphabet_size": 4, "min_length": 2, "max_length": 9, "pad": "left"},
        {"alphabet_size": 30, "min_length": 7, "max_length": 7},
    ],
    golden="66477b86e20cc9ac",
)
