from tests.tasks.cases import Case

CASE = Case(
    variants=[
        {},
        {"kind": "prefix", "alphabet_size": 6, "length": 30, "ngram": 3, "answer_length": 4},
        {"alphabet_size": 5, "length": 12, "ngram": 1, "answer_length": 2},
    ],
    golden="804ec109c47b6952",
)
