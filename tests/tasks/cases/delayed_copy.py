from tests.tasks.cases import Case

CASE = Case(
    variants=[{}, {"vocab_size": 5, "num_to_copy": 4, "delay": 9, "variable": True}],
    golden="ecb11c84a2c41e6c",
)
