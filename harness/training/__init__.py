"""The training of one cohort: runs of equal shape as one batched program."""
