from tests.tasks.cases import Case

CASE = Case(
    variants=[
        {},
        {"num_entries": 6, "name_length": 3, "number_length": 10, "name_tokens": 3},
        {"num_entries": 5, "name_length": 1, "number_length": 1, "name_tokens": 7},
    ],
    golden="e8e7248ecb2430f6",
)
