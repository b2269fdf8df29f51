"""Agreement with published implementations, from stored numbers: `python -m tests.parity FOLDER`."""
