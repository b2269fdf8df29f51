from tests.tasks.cases import Case

CASE = Case(
    variants=[
        {},
        {"num_queries": 3, "filler": 1, "in_weights_bias": 0.3},
        {"vocab_size": 90, "distinct_keys": True},
        {"filler": 2, "noise_tokens": 4},
        {"key_length": 2, "length": 36, "num_queries": 2, "in_weights_bias": 0.5},
        {"key_length": 3, "length": 80, "vocab_size": 8, "distinct_keys": True},
    ],
    golden="a6cf4bc082a6c625",
)
