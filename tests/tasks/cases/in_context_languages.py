from tests.tasks.cases import Case

CASE = Case(
    variants=[
        {},
        {
            "length": 60,
            "num_letters": 5,
            "min_letters": 3,
            "min_states": 3,
            "max_states": 5,
            "max_edges": 2,
            "max_word_length": 9,
            "min_words": 2,
            "max_words": 7,
        },
        {"length": 200, "scored": "last"},
    ],
    golden="1d99e1f9bd954d3c",
)
