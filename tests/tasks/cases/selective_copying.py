from tests.tasks.cases import Case

CASE = Case(
    variants=[
        {},
        {"vocab_size": 6, "length": 20, "num_to_copy": 5},
        {"length": 9, "num_to_copy": 4},
    ],
    golden="a118353a78faa444",
)
