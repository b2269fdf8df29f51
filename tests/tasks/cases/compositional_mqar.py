from tests.tasks.cases import Case

CASE = Case(
    variants=[
        {},
        {"vocab_size": 30, "length": 70, "power": 1.0, "filler": "random"},
        {"vocab_size": 21, "length": 30, "num_halves": 2, "filler": "ambiguous"},
    ],
    golden="7e50874db1d66166",
)
