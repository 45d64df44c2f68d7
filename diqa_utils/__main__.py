"""The command `diqa`, run as `python -m diqa_utils`."""

from diqa_utils.cli import app

if __name__ == "__main__":
    app()
