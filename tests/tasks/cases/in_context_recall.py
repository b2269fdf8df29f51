from tests.tasks.cases import Case

CASE = Case(variants=[{}, {"vocab_size": 5, "length": 14}], golden="0207a3b43edb92ac")
