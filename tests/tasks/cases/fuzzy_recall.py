from tests.tasks.cases import Case

CASE = Case(
    variants=[
        {},
        {"vocab_size": 9, "length": 30, "max_key_size": 2, "max_value_size": 3},
        {"vocab_size": 7, "length": 14, "max_key_size": 1, "max_value_size": 1},
    ],
    golden="e37d1e3ad65a1188",
)
