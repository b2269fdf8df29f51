from tests.tasks.cases import Case

CASE = Case(
    variants=[
        {},
        {
            "vocab_size": 30,
            "length": 41,
            "num_pairs": 5,
            "num_updates": 5,
            "power": 1.0,
            "filler": "random",
        },
        {"vocab_size": 21, "length": 30, "num_updates": 1, "filler": "ambiguous"},
    ],
    golden="9252c957204394d1",
)
