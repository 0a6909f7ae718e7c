"""Sentences of mathematical reasoning in other languages, for `benchmarks/language_meter.py`.

Half of them (the even ones) may be looked at while the meter is changed; the others are for the held-out figures. The
meter's vocabulary was still extended after they were written, so the held-out half is not a
clean test. Not native speakers' work: plain and short.
"""

LATIN_SCRIPT: dict[str, tuple[str, ...]] = {
    "es": (
        "Primero calculamos el área del triángulo usando la fórmula de Herón.",
        "Como los dos lados son iguales, el triángulo es isósceles.",
        "Sustituimos este valor en la segunda ecuación.",
        "Espera, creo que hay un error en el paso anterior.",
        "Hay doce maneras de elegir las tres cartas.",
        "La probabilidad buscada es un tercio.",
    ),
    "fr": (
        "Calculons d'abord la longueur de la diagonale.",
        "On remplace cette valeur dans la deuxième équation.",
        "Attends, je pense qu'il y a une erreur dans le calcul.",
        "Il y a douze façons de choisir les trois cartes.",
        "La probabilité cherchée est égale à un tiers.",
        "Comme le nombre est pair, il est divisible par deux.",
    ),
    "de": (
        "Zuerst berechnen wir die Fläche des Dreiecks.",
        "Wir setzen diesen Wert in die zweite Gleichung ein.",
        "Moment, ich glaube, dass hier ein Fehler ist.",
        "Es gibt zwölf Möglichkeiten, die drei Karten zu wählen.",
        "Die gesuchte Wahrscheinlichkeit ist ein Drittel.",
        "Da die Zahl gerade ist, kann man sie durch zwei teilen.",
    ),
    "it": (
        "Prima calcoliamo la lunghezza della diagonale.",
        "Sostituiamo questo valore nella seconda equazione.",
        "Aspetta, penso che ci sia un errore nel passaggio precedente.",
        "Ci sono dodici modi di scegliere le tre carte.",
        "La probabilità cercata è uguale a un terzo.",
        "Poiché il numero è pari, è divisibile per due.",
    ),
    "pt": (
        "Primeiro calculamos o comprimento da diagonal.",
        "Substituímos este valor na segunda equação.",
        "Espere, acho que há um erro no passo anterior.",
        "Existem doze maneiras de escolher as três cartas.",
        "A probabilidade procurada é um terço.",
        "Como o número é par, ele é divisível por dois.",
    ),
    "nl": (
        "Eerst berekenen we de oppervlakte van de driehoek.",
        "We vullen deze waarde in de tweede vergelijking in.",
        "Wacht, ik denk dat er een fout in de vorige stap zit.",
        "Er zijn twaalf manieren om de drie kaarten te kiezen.",
        "De gevraagde kans is een derde.",
        "Omdat het getal even is, is het deelbaar door twee.",
    ),
    "pl": (
        "Najpierw obliczamy pole trójkąta.",
        "Podstawiamy tę wartość do drugiego równania.",
        "Chwileczkę, myślę, że w poprzednim kroku jest błąd.",
        "Jest dwanaście sposobów wyboru trzech kart.",
        "Szukane prawdopodobieństwo wynosi jedną trzecią.",
        "Ponieważ liczba jest parzysta, dzieli się przez dwa.",
    ),
    "tr": (
        "Önce üçgenin alanını hesaplayalım.",
        "Bu değeri ikinci denklemde yerine koyalım.",
        "Bekle, önceki adımda bir hata olduğunu düşünüyorum.",
        "Üç kartı seçmenin on iki yolu vardır.",
        "Aranan olasılık üçte birdir.",
        "Sayı çift olduğu için ikiye bölünür.",
    ),
    "vi": (
        "Trước tiên ta tính diện tích của tam giác.",
        "Thay giá trị này vào phương trình thứ hai.",
        "Khoan đã, tôi nghĩ có một lỗi ở bước trước.",
        "Có mười hai cách chọn ba lá bài.",
        "Xác suất cần tìm là một phần ba.",
        "Vì số này là số chẵn nên nó chia hết cho hai.",
    ),
    "id": (
        "Pertama kita hitung luas segitiga tersebut.",
        "Substitusikan nilai ini ke persamaan kedua.",
        "Tunggu, saya pikir ada kesalahan pada langkah sebelumnya.",
        "Ada dua belas cara untuk memilih tiga kartu.",
        "Peluang yang dicari adalah sepertiga.",
        "Karena bilangan itu genap, maka habis dibagi dua.",
    ),
    "sv": (
        "Först beräknar vi triangelns area.",
        "Vi sätter in detta värde i den andra ekvationen.",
        "Vänta, jag tror att det finns ett fel i förra steget.",
        "Det finns tolv sätt att välja de tre korten.",
        "Den sökta sannolikheten är en tredjedel.",
        "Eftersom talet är jämnt är det delbart med två.",
    ),
    "ro": (
        "Mai întâi calculăm aria triunghiului.",
        "Înlocuim această valoare în a doua ecuație.",
        "Stai, cred că este o greșeală la pasul anterior.",
        "Există douăsprezece moduri de a alege cele trei cărți.",
        "Probabilitatea căutată este o treime.",
        "Deoarece numărul este par, el se divide cu doi.",
    ),
    "cs": (
        "Nejprve spočítáme obsah trojúhelníku.",
        "Tuto hodnotu dosadíme do druhé rovnice.",
        "Počkat, myslím, že v předchozím kroku je chyba.",
        "Existuje dvanáct způsobů, jak vybrat tři karty.",
        "Hledaná pravděpodobnost je jedna třetina.",
        "Protože je číslo sudé, je dělitelné dvěma.",
    ),
    "fi": (
        "Lasketaan ensin kolmion pinta-ala.",
        "Sijoitetaan tämä arvo toiseen yhtälöön.",
        "Hetkinen, luulen että edellisessä vaiheessa on virhe.",
        "Kolme korttia voidaan valita kahdellatoista tavalla.",
        "Kysytty todennäköisyys on yksi kolmasosa.",
        "Koska luku on parillinen, se on jaollinen kahdella.",
    ),
    "hu": (
        "Először kiszámítjuk a háromszög területét.",
        "Ezt az értéket behelyettesítjük a második egyenletbe.",
        "Várjunk, azt hiszem, hiba van az előző lépésben.",
        "Tizenkét módon lehet kiválasztani a három lapot.",
        "A keresett valószínűség egyharmad.",
        "Mivel a szám páros, osztható kettővel.",
    ),
}

OTHER_SCRIPTS: dict[str, tuple[str, ...]] = {
    "zh": ("首先计算三角形的面积。", "把这个值代入第二个方程。", "等等，前面一步有错误。", "所求概率是三分之一。"),
    "ja": (
        "まず三角形の面積を求めます。",
        "この値を二番目の式に代入する。",
        "待って、前の段階に間違いがある。",
        "求める確率は三分の一です。",
    ),
    "ko": (
        "먼저 삼각형의 넓이를 구합니다.",
        "이 값을 두 번째 식에 대입한다.",
        "잠깐, 앞 단계에 오류가 있다.",
        "구하는 확률은 삼분의 일이다.",
    ),
    "ru": (
        "Сначала найдём площадь треугольника.",
        "Подставим это значение во второе уравнение.",
        "Подождите, в предыдущем шаге ошибка.",
        "Искомая вероятность равна одной трети.",
    ),
    "ar": (
        "أولاً نحسب مساحة المثلث.",
        "نعوض هذه القيمة في المعادلة الثانية.",
        "انتظر، هناك خطأ في الخطوة السابقة.",
        "الاحتمال المطلوب هو ثلث.",
    ),
    "hi": (
        "पहले त्रिभुज का क्षेत्रफल निकालते हैं।",
        "इस मान को दूसरे समीकरण में रखें।",
        "रुकिए, पिछले चरण में गलती है।",
        "अभीष्ट प्रायिकता एक तिहाई है।",
    ),
    "el": (
        "Πρώτα υπολογίζουμε το εμβαδόν του τριγώνου.",
        "Αντικαθιστούμε αυτή την τιμή στη δεύτερη εξίσωση.",
        "Περίμενε, υπάρχει λάθος στο προηγούμενο βήμα.",
        "Η ζητούμενη πιθανότητα είναι ένα τρίτο.",
    ),
    "he": (
        "תחילה נחשב את שטח המשולש.",
        "נציב את הערך הזה במשוואה השנייה.",
        "רגע, יש טעות בשלב הקודם.",
        "ההסתברות המבוקשת היא שליש.",
    ),
    "th": (
        "ก่อนอื่นหาพื้นที่ของสามเหลี่ยม",
        "แทนค่านี้ในสมการที่สอง",
        "เดี๋ยวก่อน มีข้อผิดพลาดในขั้นตอนก่อนหน้า",
        "ความน่าจะเป็นที่ต้องการคือหนึ่งในสาม",
    ),
}

LONE: tuple[str, ...] = (
    *"是的得数和则即为个又",
    *"のをはが",
    *"은는이를",
    *"жщыяи",
    *"وفهلم",
    *"केमें"[:1],
    *"กขค",
)
"""One letter each, as models drop them into a sentence."""

WORDS: tuple[str, ...] = (
    *("因此", "所以", "答案", "方程", "面积", "显然", "此时", "检查"),
    *("したがって", "答え", "面積", "따라서", "정답", "넓이"),
    *("значит", "ответ", "или", "тогда", "число"),
    *("إذن", "الجواب", "عدد", "हल", "उत्तर", "इसलिए", "άρα", "λύση", "לכן", "תשובה", "ดังนั้น", "คำตอบ"),
)
"""One word each, in another script."""
