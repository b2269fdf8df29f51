from tests.tasks.cases import Case

CASE = Case(
    variants=[{}, {"vocab_size": 13, "length": 12, "map_seed": 3}], golden="33b8d89c30d41151"
)
