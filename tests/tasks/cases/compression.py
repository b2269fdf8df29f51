from tests.tasks.cases import Case

CASE = Case(variants=[{}, {"vocab_size": 5, "length": 12}], golden="9117b319e117c2fb")
