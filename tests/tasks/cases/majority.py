from tests.tasks.cases import Case

CASE = Case(variants=[{}, {"vocab_size": 7, "length": 20}], golden="5009819e476635d9")
