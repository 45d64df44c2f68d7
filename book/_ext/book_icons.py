"""The theme's icons, without the library of two thousand that the theme loads with every page.

The theme sends Font Awesome as a script of half a megabyte and as fonts. Its styles know every icon
already, so the script is emptied, and of the fonts only the few icons are sent that are in use.
"""

import re
from pathlib import Path

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont
from sphinx.application import Sphinx

#: What the theme calls its fonts and the weight of each, by the name of the file.
FONTS = {
    "fa-solid-900": ("Font Awesome 6 Free", 900),
    "fa-brands-400": ("Font Awesome 6 Brands", 400),
}

FACE = """@font-face {{
  font-family: "{0}";
  font-weight: {1};
  src: url({2}.woff) format("woff");
}}
"""


def cut_fonts(app: Sphinx, exception: Exception | None) -> None:
    """Writes `icons.css` and its fonts, with the icons that pages, styles and scripts use."""
    if exception or app.builder.name != "html":
        return
    static = Path(app.outdir) / "_static"
    scripts, styles = static / "scripts", static / "styles" / "pydata-sphinx-theme.css"
    named = [*Path(app.outdir).rglob("*.html"), scripts / "pydata-sphinx-theme.js"]
    text = "".join(path.read_text(encoding="utf-8") for path in named)
    names = set(re.findall(r"\bfa-([a-z0-9-]+)", text))
    icons = re.findall(r'--pst-icon-[a-z-]+:"(.)"', styles.read_text(encoding="utf-8"))
    for file in FONTS:
        cut_font(static, file, names, {ord(icon) for icon in icons})
    faces = [FACE.format(*FONTS[file], file) for file in FONTS]
    (static / "icons.css").write_text("".join(faces), encoding="utf-8")
    (scripts / "fontawesome.js").write_text("// See icons.css.\n", encoding="utf-8")


def cut_font(static: Path, file: str, names: set[str], codes: set[int]) -> None:
    """Writes a copy of a font with no more than the icons of these names and these codes."""
    font = TTFont(static / "vendor" / "fontawesome" / "webfonts" / f"{file}.ttf")
    wanted = {code for code, name in font.getBestCmap().items() if name in names or code in codes}
    subsetter = Subsetter(Options(layout_features=[]))
    subsetter.populate(unicodes=wanted)
    subsetter.subset(font)
    font.flavor = "woff"
    font.save(static / f"{file}.woff")


def setup(app: Sphinx) -> None:
    """Connects the function above to Sphinx."""
    app.add_css_file("icons.css", priority=900)
    app.connect("build-finished", cut_fonts)
