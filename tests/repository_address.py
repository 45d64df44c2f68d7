"""The address of the repository, from its one source, and what follows from it."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

ADDRESS: str = SETTINGS["project"]["urls"]["Repository"]
OWNER, NAME = ADDRESS.removeprefix("https://github.com/").split("/")

#: Where GitHub Pages publishes the book.
PUBLISHED = f"https://{OWNER.lower()}.github.io/{NAME}/"

#: Opens a notebook in Colab, with its path in the repository at the end.
COLAB = f"https://colab.research.google.com/github/{OWNER}/{NAME}/blob/main/"
