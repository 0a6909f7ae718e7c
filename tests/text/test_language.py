"""The language meter's parts, on sentences in 24 languages and on mathematics that only looks foreign."""

import pytest

from frugalrl.text import vocabulary
from frugalrl.text.language import label_sentences, language_fraction, language_reward
from frugalrl.text.language_id import load_identifier
from frugalrl.text.prose import sentences_of, without_names
from frugalrl.text.scripts import script_counts, scripts_of_language

LONG_ENGLISH = " ".join(
    f"In step {step} we add ${step}$ to both sides, so the sum is ${step * 7}$ and nothing else has changed."
    for step in range(1, 60)
)

FOREIGN = {
    "es": ["Por lo tanto, la suma de los ángulos es igual a ciento ochenta grados.", "La respuesta es cinco manzanas."],
    "fr": ["Donc la réponse finale est obtenue en divisant par deux.", "Il reste donc 5 pommes dans le panier."],
    "de": ["Daher ist die Summe der Zahlen gleich dem Produkt.", "Wir müssen zuerst die Gleichung umformen."],
    "it": ["Quindi la somma degli angoli è uguale a un angolo piatto."],
    "pt": ["Portanto, o número de maneiras é igual a doze."],
    "nl": ["Daarom is de som van de getallen gelijk aan het product."],
    "pl": ["Zatem suma kątów jest równa stu osiemdziesięciu stopniom."],
    "tr": ["Bu nedenle sayıların toplamı çarpıma eşittir."],
    "vi": ["Do đó tổng của các số bằng tích của chúng."],
    "id": ["Oleh karena itu, jumlah bilangan sama dengan hasil kali."],
    "sv": ["Därför är summan av talen lika med produkten."],
    "ro": ["Prin urmare, suma unghiurilor este egală cu o sută optzeci de grade."],
    "cs": ["Proto je součet čísel roven jejich součinu."],
    "hu": ["Ezért a számok összege egyenlő a szorzatukkal."],
    "fi": ["Siksi lukujen summa on yhtä suuri kuin niiden tulo."],
    "ru": ["Следовательно, сумма чисел равна произведению.", "Ответ пять."],
    "uk": ["Отже, сума чисел дорівнює добутку."],
    "ar": ["لذلك فإن مجموع الأعداد يساوي حاصل الضرب."],
    "he": ["לכן סכום המספרים שווה למכפלה."],
    "hi": ["इसलिए संख्याओं का योग गुणनफल के बराबर है।"],
    "th": ["ดังนั้นผลรวมของตัวเลขเท่ากับผลคูณ"],
    "zh": ["所以答案是五。", "首先计算"],
    "ja": ["したがって、数の和は積に等しい。"],
    "ko": ["따라서 숫자의 합은 곱과 같습니다."],
    "el": ["Επομένως το άθροισμα των αριθμών είναι ίσο με το γινόμενο."],
}


def foreign_in(text, target="en"):
    return [sentence for sentence, label in label_sentences(text, load_identifier(), target) if label == "foreign"]


@pytest.mark.parametrize(("language", "sentence"), [(name, one) for name, some in FOREIGN.items() for one in some])
def test_one_foreign_sentence_is_found_inside_a_long_english_solution(language, sentence):
    middle = LONG_ENGLISH.index("In step 30")
    assert foreign_in(LONG_ENGLISH) == []
    assert len(foreign_in(f"{LONG_ENGLISH[:middle]}{sentence} {LONG_ENGLISH[middle:]}")) == 1


@pytest.mark.parametrize(
    "text",
    [
        "By the theorems of Cauchy, Poincaré, Möbius, l'Hôpital and Erdős, the limit of the sequence is zero.",
        "Using de Moivre and van der Waerden, the angle is found at once.",
        "Let $\\alpha\\beta = \\gamma$ and $\\text{si } x = 3$. Then αβ + γ = δ, where ε > 0 is small.",
        "\\begin{align*} a &= b \\\\ c &= d \\end{align*}",
        "```python\nfür_alle = lambda größe: größe\n```",
        '[asy] draw((0,0)--(1,1)); label("Höhe des Dreiecks ist gleich", (0,0)); [/asy]',
        "gcd gcd gcd gcd lcm lcm lcm",
        "ABCD, ABC, BCD and ACD are points.",
        "He pays $5 for apples and $10 for pears, and so he has spent $15 in all.",
        "<<48/2=24>>24",
        "",
        "12 + 7 = 19",
    ],
)
def test_mathematics_is_not_foreign(text):
    assert foreign_in(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "Side lengths: 3, 4, 5.",
        "Vertex form.\nStandard form.\nQuadratic formula, discriminant negative.",
        "So area = $5$.",
        "Wait, hmm, maybe.\nHmm.\nOkay, so.",
        "μ = 3 and σ² = 4, so ln σ² = ... and μ ± σ, then π/4, 2πk, Δt, dx/dt.",
        "sin sin cos tan tanh sinh cosh",
        "det(A) = a(ei − fh) − b(di − fg) + c(dh − eg)",
        "By Fermat, Vieta and de Moivre. Q.E.D. Quod erat demonstrandum, modulo 7, a priori.",
        "Let $x$ be in ℝ, ℤ_n or 𝔽_p; ℵ and א are cardinals; αβγ + αβδ + βγδ + αγδ = 0.",
        "Stock purchase per share: shares, dividends.\nEntropy rate: Σ p log p.",
        "### Lower bound\n- **Base case:** trivial.\n- **Inductive step:** assume true.",
        "The naïve approach, due to Gauß, Möbius and Bézout, is a cliché.",
    ],
)
def test_fragments_of_reasoning_models_are_not_foreign(text):
    assert foreign_in(text) == []


@pytest.mark.parametrize("letter", ["是", "的", "の", "는", "ж", "ы", "و", "क", "ข", "ბ", "አ", "ក"])
def test_a_lone_letter_of_another_script_is_found_in_the_middle_of_a_sentence(letter):
    assert len(foreign_in(f"So the answer {letter} the sum of the two numbers, which is 5.")) == 1
    assert len(foreign_in(f"So $x {letter} 3$ holds.")) == (1 if letter in "是的の는" else 0)


@pytest.mark.parametrize("word", ["因此", "значит", "или", "άρα", "λύση", "לכן", "إذن", "हल", "따라서"])
def test_a_word_of_another_script_is_found_in_the_middle_of_a_sentence(word):
    assert len(foreign_in(f"So the sum {word} is equal to the product of the numbers.")) == 1


@pytest.mark.parametrize(
    "clause",
    [
        "es igual a la suma", "donc la somme des nombres", "daher ist die gesuchte Zahl", "jest równa sumie liczb",
        "toplamı eşittir çünkü", "sama dengan jumlah bilangan", "bằng tổng của các số", "suoyi daan shi zhege",
    ],
)  # fmt: skip
def test_a_clause_in_latin_script_is_found_in_the_middle_of_a_sentence(clause):
    assert len(foreign_in(f"Then the value of the angle {clause} and we are done with this part.")) == 1


def test_no_word_is_both_english_and_foreign():
    english, shared, foreign = vocabulary.ENGLISH, vocabulary.SHARED, vocabulary.FOREIGN
    assert not english & foreign
    assert not english & shared
    assert all(word == word.lower() and word.isalpha() for word in english | shared | foreign)


def test_a_sentence_between_two_amounts_of_money_is_not_taken_for_mathematics():
    assert foreign_in("He has $5. Por lo tanto, la suma de los precios es igual a ciento ochenta, y no $10.") != []


def test_words_inside_text_commands_are_read():
    assert foreign_in("So $x = 3 \\text{ porque la suma de los números es igual a doce}$ holds.") != []


def test_short_foreign_sentences_are_joined_until_they_can_be_judged():
    assert foreign_in("Sí, es así. Es muy fácil. Ahora ya está. Todo está claro.") != []


@pytest.mark.parametrize(
    ("target", "own", "other"),
    [
        ("zh", "因此，我们得到总和等于乘积。", "Therefore the sum of the numbers is equal to their product."),
        ("de", "Daher ist die Summe der Zahlen gleich dem Produkt.", "Donc la somme des nombres est égale au produit."),
        ("ru", "Следовательно, сумма чисел равна произведению.", "因此，我们得到总和等于乘积。"),
    ],
)
def test_another_language_can_be_the_target(target, own, other):
    assert foreign_in(own, target) == []
    assert len(foreign_in(f"{own} {other}", target)) == 1


def test_the_fraction_counts_judged_sentences_and_is_none_without_prose():
    mixed = "The sum of the two numbers is equal to ten. 所以答案是五。"
    assert language_fraction(mixed, load_identifier()) == 0.5
    assert language_fraction("$x^2 = 4$ so $x = 2$", load_identifier()) is None


def test_the_reward_is_the_share_or_all_or_nothing():
    assert [language_reward(share) for share in (1.0, 0.9, None)] == [1.0, 0.9, None]
    assert [language_reward(share, strict=True) for share in (1.0, 0.9, None)] == [1.0, 0.0, None]
    with pytest.raises(ValueError, match=r"0\.\.1"):
        language_reward(1.5)


def test_prose_is_what_is_left_without_mathematics_and_code():
    text = "Let $x$ be 5. Then \\[ y = 2 \\] by Cauchy.\n```py\nz = 1\n```"
    assert sentences_of(text) == ["Let be", "Then by Cauchy"]
    assert without_names("Then by von Neumann it follows") == "Then by it follows"


def test_scripts_are_counted_by_letter():
    assert script_counts("ab αβγ 中文!") == {"latin": 2, "greek": 3, "han": 2}
    assert script_counts("12 + 3") == {}
    assert scripts_of_language("ja") == {"han", "kana"}
    assert scripts_of_language("fr") == {"latin"}
