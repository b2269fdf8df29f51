from tests.tasks.cases import Case

CASE = Case(
    variants=[
        {},
        {"vocab_size": 4, "length": 30, "hops": 3},
        {"length": 12, "hops": 1},
    ],
    golden="5b4fa8f66cc0849a",
)
