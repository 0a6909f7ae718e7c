"""Every block of docs/python-api.md runs, one after the other, in an empty folder."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "python-api.md"


def test_every_block_of_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text(encoding="utf-8")
    blocks = list(re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    assert len(blocks) == text.count("```") // 2 == 8
    names = {"__name__": "page"}
    for block in blocks:
        first_line = text[: block.start(1)].count("\n")
        code = compile("\n" * first_line + block[1], str(PAGE), "exec")
        exec(code, names)
