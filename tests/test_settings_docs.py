from __future__ import annotations

import re
from pathlib import Path

from app.config import PREFIX, Settings

DOCS = Path(__file__).parents[1] / "docs" / "settings.md"
ROWS = {
    name: (default.strip(), said.strip())
    for name, default, said in re.findall(
        r"^\| `(WHALEFALL_\w+)` \| (.+?) \| (.+?) \|$",
        DOCS.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
}


def test_every_setting_is_documented_and_no_other() -> None:
    assert set(ROWS) == {PREFIX + name.upper() for name in Settings.model_fields}


def test_the_documented_defaults_and_descriptions_are_those_of_the_code() -> None:
    for name, field in Settings.model_fields.items():
        default, said = ROWS[PREFIX + name.upper()]
        assert said == field.description
        if field.default_factory is None and field.default is not None:
            assert default == f"`{field.default}`"
