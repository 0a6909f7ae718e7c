"""Which language a problem is in, its mathematics aside."""

import pytest

from frugalrl.data.prompt_language import prompt_language
from frugalrl.text.language_id import load_identifier

IDENTIFY = load_identifier()


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (r"Find the number of positive integers $n$ with $\frac{n}{n+1} < \frac{2024}{2025}$.", "en"),
        ("设函数 $f(x)=x^2-2x$，求 $f(x)$ 在区间上的最小值，并说明理由。", "zh"),
        ("Найдите наименьшее натуральное число, которое делится на семь и на девять.", "ru"),
        ("Trouvez le plus petit entier naturel qui est divisible par sept et par neuf, puis donnez son carré.", "fr"),
        (r"$\sum_{k=1}^{n} k^3 = \left(\frac{n(n+1)}{2}\right)^2$", "unknown"),
        ("Solve $x+1=2$.", "unknown"),
        ("", "unknown"),
    ],
)
def test_the_language_of_a_problem(text, language):
    found, share = prompt_language(text, IDENTIFY)
    assert found == language
    assert share == (0.0 if language == "unknown" else 1.0)
