"""Agreement with published implementations: `python -m tests.parity FOLDER`."""
