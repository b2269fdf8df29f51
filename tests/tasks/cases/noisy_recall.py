from tests.tasks.cases import Case

CASE = Case(
    variants=[
        {},
        {"vocab_size": 9, "length": 20, "noise_vocab_size": 3, "noise_fraction": 0.6},
        {"vocab_size": 8, "length": 10, "noise_vocab_size": 2, "noise_fraction": 0.0},
    ],
    golden="a3148c97c91f73d0",
)
