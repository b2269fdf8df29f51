from tests.tasks.cases import Case

CASE = Case(
    variants=[
        {},
        {"vocab_size": 30, "length": 41, "num_pairs": 5, "power": 1.0, "filler": "random"},
        {"vocab_size": 13, "length": 24, "num_pairs": 5, "filler": "ambiguous"},
    ],
    golden="3c945925588cbd9b",
)
