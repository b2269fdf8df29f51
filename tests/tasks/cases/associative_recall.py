from tests.tasks.cases import Case

CASE = Case(
    variants=[
        {},
        {"num_queries": 3, "filler": 1, "in_weights_bias": 0.3},
        {"vocab_size": 90, "distinct_keys": True},
    ],
    golden="1382a4351ef93aad",
)
