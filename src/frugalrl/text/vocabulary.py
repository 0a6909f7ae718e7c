"""Words that tell English mathematics from other languages in Latin script.

`ENGLISH` holds words that are English and hardly anything else; `SHARED` those that another language has too
("die", "son", "triangle"), which say nothing; `FOREIGN` frequent words of 23 other languages and of Chinese in
Latin letters. Chosen by hand and by frequency in the training splits of MATH and GSM8K, so that what the meter
is tested on was not looked at. A word in none of them is unknown, which is no evidence by itself.
"""

_ENGLISH_WORDS = """
    abelian about above absent absolute absurdum acceleration accessories accident accommodate accordingly account
    achieve acid acre across action actual actually acute add addition additional adds adjacent admission adult afford
    after afternoon again against ages ago agree ah aha ahead airplane aka alligators allow allowance almost alone
    along already alright alternate alternatively although altitudes altogether always among amongst amount amplitude
    and another answer answers ants any anybody anyone anything anyway anyways apart apartment apex apiece appear
    appears apple approach approx approximately aquarium arccos arcsin arctan aren argument around arrangement array
    arrive asks assignment assume assumption assumptions asymptote asymptotic atom atoms attempt attempts attend
    attendees aunt automorphism available average avg avoid away babies baby back backwards backyard bad bag bags bake
    baker bakery balloon banana barrel bars barycentric baseball bash basically basil basket basketball batch bathroom
    bayes beach beads beans bear beat became because become bed bedroom beds beef been before began begin behind being
    bell below bernoulli berries besides best better between beyond bicycle big bigger biggest bijection bijective
    bike bill binary biology bird birdhouse birthday biscuits bisector bisectors bisects bishop black block blue
    blueberries blueberry board boat body bond bonds bones book bookstore born borrow both bottle bottom bought bound
    boundary bounded boundedness bounds bouquet bowl boxed boxes boy boys bracelet branch brand bread break breakfast
    bricks bridge broke broken brother brought brown brownies brute bucket budget build built bulbs bulk bunch burger
    burn buses busy but butter buttons buy buys cafeteria cake calc calcs calculating calculation calculator call
    calories came cancel canceled cancelled cancels candies candle cannot cans cant caps careful carries carrots carry
    cars cart casework cashier cat catch cats caught ceil ceiling cells center centroid cereal cevian cevians cf
    chapters characters chart cheaper check checking cheese cheesecake cherry chess chicken child children chip
    chocolate choice choices choose chord chores chosen church circle circuit circumcenter circumcircle circumference
    circumradius claim claims clarification clarify classmates classroom clay clean clear climb clock close closer
    closest closet clothes cm coach coaster coat coconut codomain coeff coefficient coeffs coffee coincide coins cold
    collect collection college collinear collinearity coloring colour colouring colours combination comic commas
    committee compact companies company competition complementary complete complicated complicatedly computer
    computing conclude concurrent concyclic condition conditional cone confused confusing congruence congruences
    congruent conjugate consecutive consequently consider consist consistent const construct consume consumption
    contain container contest continuity continuous contrapositive contribute convergence convergent converges
    converse conversely convex convolution cook cookie cool coordinates copies coplanar coprime copy corn corner
    corollary correlation cos cosec coset cosets cosh cost cot could couldn couldnt count counter country couple
    course covariance cow cows crackers craft crate crayons cream create credit crew crucial csc cubic cubics
    cucumbers cup cupcakes cups curve customer cut cuts cycle cycles cyclic cylinder cylindrical dad daisies dance
    daughter day days deal debt decide decorations decrease deduce deep def define definition deg deliver delivery
    demand demonstrandum denom denominator denote department dependent depends deposit derangement derangements
    derivative derivatives describes desk despite destination determinant determine diagonalize dice did didn didnt
    diff different differentiable differential differentiate difficult digitwise dilation dime dimensional dinner
    directrix discount dish disjoint distinguishable distribute distribution distributions distributive diverge
    divergent diverges divide dividend divisibility divisible does doesn doesnt dog dogs doing dolls don donate done
    dont donut dot dots dough doughnuts down download dozen dragon drank draw drawer drawing drawn dress drew drink
    drive driven driver drop drove duck during each earlier earn ears easier east easy eat eaten eats edge edges egg
    eggs eigenvalue eigenvalues eigenvector eigenvectors eighth either electric electron element elephants eleven elif
    eliminate else employee empty end endpoint ends enough ensure enthalpy entrance entries entropy entry envelopes
    episode epsilon eq eqn eqns eqs equidistant equilateral equilibrium equipment equivalent erasers erat errors
    especially essay essentially etc event events every everybody everyone everything exactly exam exchange excircle
    exclusive exist exp expand expanded expands expansion expect expectation expected expenses expensive experience
    explain explanation exponentiation expr express extend external eyes fabric fact facto factored factorials
    factorization factorize factory fair fall false families far farm farmer farther faster fastest father favorite
    feed fees feet fell female fence few fewer field fields fifteen fifth fifty figure fill finally find finding
    finish first fish fit five flag flew flies flip flipping float flock floor flour flower fly foci follows food foot
    footage football forest forgot former formerly forty found four fourier fourth fractional free frequency fresh
    friction fridge friend fries frog frogs from front frustum ft fuel full functional fundraiser furniture further
    gallon game garden gaussian gave gcd gcf geometric get gets getting giant girl give given glass goal goats goes
    going goldfish gone gonna good got gotten government grade gradient grandchildren grandmother grandparents grape
    graphs grass gravity gray great greater greatest green grew grid groceries grocery ground grouping grow grown
    guess guest gummy gym had hadn hadnt hair haircuts half halfway halves hamburger handshakes hang happen hard
    harvest has hats have haven havent having hcf he head heat heavy held help hence hens here hers herself hes
    hessian hexadecimal high higher highest hike hill him himself hint hints hire his history hit hits hm hmm hmmm
    hmmmm hoc hockey hold hole holidays home homework homomorphism homothety honey horse hose hospital hot hotdogs
    hour house how however huge huh humans hungry hunt husband hyperbola hypothesis ice ideals if iff ignore img
    implies import important impossible incenter inch incircle include inclusive income inconsistent incorrect
    increase independence indistinguishable individually inductive infimum infinitum ingredients injection injective
    input inradius insects inside insight inspection instead instruction instructions insurance intake integer
    integrand integrate integration intercept interest interesting interior internet intersect into intuition invalid
    inversion invertible invest investment ions ipso iron island isn isnt isolating isomorphism isosceles ith its
    itself ive jackets jar jars jeans jellybeans jewelry job jobs jogs join journey jth juice jump just keep kept ker
    kernel key kg kid kids king kitchen kittens km knave knaves knife knight knights knives know known kth labor laid
    lake laplacian laps laptop large larger largest later latest latter lattice laundry lawn layer lays lead leaf
    league leap learn least leave left leftmost leftover leg legs lemmas lemonade less lessons let lets letter lettuce
    lhs liar liars library license lie lies life lift like likely likewise lilies liminf limsup linearly lineup lions
    little live load loaf loan loaves location logarithm logarithmic logarithms logs lollipops longer longest look
    looking loop loops loose lose loss lost lots lottery loves low lower lowest lunch made magazine magnetic mail
    major make making mall manages manifold manner many mapping mappings marathon marble marbles margin market marks
    marshmallows master match matrices matrix matter max maximize may maybe meal mean meaning means meanwhile measure
    meat medians meet member mention mentioned messages messy middle midpoint might mileage milk milliliters min
    minimize minor miss mistake mistakes mixture mod modules modulus modus mole molecule molecules moles mom momentum
    money monic monotonic moreover most mother mountain move movie mph mth much muffins multinomial multiplicand
    multiplies multiply museum mushrooms music must mustn mutandis mutatis myself nails name namely nearby nearest
    nearly neat necessary necklace need needs neighbor neighborhood neither neutron never nevertheless new newspaper
    next nice nickel nine ninth nobody node nodes none nonetheless nonnegative nonreal nonsingular nonzero nope norm
    not notebook nothing notice novel now nth nullity number numer nuts objects observation obtain obtuse obviously
    occur ocean octahedron octal odd odds of offers office often oh oil okay old older oldest once one ones onions
    online only onto ooh oops opposite options orchard order origin orthocenter orthogonal orthogonality orthonormal
    other otherwise ought ounce our ours ourselves out outcome outcomes outer outfits output outside oven overall
    overlap overtime owes own owner owns oz package packet paid pairwise pancakes pants paper parallelogram parent
    parentheses parity park parrots particular particularly partner party passengers pasta patch path paths pattern
    pawn pay paycheck payment pays peaches peanut pears pebbles pencil pennies penny pens people pepper pepperoni
    perform perhaps perimeter period periodic permutes perpendicular perpendiculars pets phew phone photon photos
    phrase phrasing pick picnic picture pie pieces pies pigeonhole piggy pigs pill pink pints pirate pirates plastic
    plausible play player plot plug plugging pocket poisson polynomial pond ponens pool popcorn population posteriori
    potato pots pound power practice precisely preimage pressure previous price primality prime print priori prism
    prize prob production promotion prompt proof proofs proper properties property proposition proton prove proven psi
    pumpkin puppies puppy purchase purple push put puts putting puzzle python qed quadratics quadrilateral quadruple
    quarter quartic quartics queen quick quickly quit quite quiz quod quotients rabbit race rad radians radii rain
    rainfall raise ran random rarely rate rather re reach reaction reactions read ready realizes rearrange rearranged
    reasonable recall receive recent recheck recipe reciprocal recognize recompute reconsider record rectangular
    recurrence recurrences recursion recursive reduce reductio reexamine refill refrigerator register regroup
    relatively remain remainder remainders remember remove rent rental repair repeat replace replacement represent
    representation request require requirement research residue residues resistance respect respective respectively
    response restriction rethink return reunion revenue reverse revisit rewrite rewritten rhombus rhs ribbon rice ride
    right rightmost rings ripe river road rock roll roller roof rook rooks root rope rotate rotten roughly round row
    rows rule run runners runs safe said salary salmon salt same sample samples sampling sandwich sanity satisfies
    satisfy sausage save saw say saying says scalar scale school science scoop score seashells season seat secants
    second seed seeing seek seem seemed seems seen sees select sell semester semi semicircle semiperimeter send
    sentence septic sessions sets seven seventh several shake shall shampoo shape share shares shark she sheep sheet
    shelf shells shelter shelves shes shift ship shipment shirt shoe shop short shorter shortest shots should shouldn
    shouldnt show shower shown sick side silver similarly simpler simplest simplified simplifies simplify since single
    singular sinh sister sit site six sixth size sketch skip skirts slant sleep slice slope slow slowly small smaller
    smallest snack snail snails snake snow soap soccer socks soda soft soil solve solvent solving some somebody
    someone something sometimes song soup space span spare special specifically speed spend spent spherical spider
    spinner split spoons spot sqrt square squarefree squat squirrel stack stairs stamp stars start state statement
    stay steak step steps stick stickers still stock storage store storm story strange strategy strawberries
    strawberry street string stripes stuck student studies study stuff subbing subgroup subgroups subjects subs
    subsequent subset subsets substitute substitution subtract subtraction successive such suffices sugar summer sums
    supermarket superset supplier supplies supply suppose supremum surjection surjective survey sweaters sweets swim
    symmetry tablespoon tail take taken taking tall taller tangency tanh target task tax taxes tea teach teacher team
    teaspoons telescopes telescoping television tell temperature tennis tens tenth ternary testing tests tetrahedron
    textbooks th than that thats the theater their theirs them themselves then there thereby therefore theres thermal
    these they thing things think third thirty this those though thought thousands three threw thrice through
    throughout throw thrown thus ticket tie ties tight tile time tiny tip tips tire today together tokens told tollens
    tomato tomorrow tons too took top topology toss totient touch tournament towards towels tower town toy toys tr
    track trade translates trapezoid trash tray treasure treat tree trees trial trick tricky trip triplet triplets
    trout truck true truth try trying tulips tuple tuples turn turtles twelve twenty twice two typical typo typos ugly
    uh uncertain uncle under unless unlike unlikely unsure until up upon upper urns us use used user uses using
    usually vacation vacuum value vanilla variance varies vegetable vehicles velocity verified versa vertices very via
    view visitors visualize viz voltage votes vowels wait walk wall wallet want wants warehouse wash wasn wasnt watch
    water watermelon wave wavelength waves way ways wear website weeds week weekdays weekend weigh weird well went
    were weren west what whats when where whereby wherein whether which while who whoa whole whom whose why wide
    widgets wife win window winner wins wire wish with within without wlog woman women won wont wood wooden word
    wording words work worker world worms worse worst would wouldn wouldnt write writing written wrong wrote xi yard
    yarn yeah year yellow yep yes yesterday yet yield you younger youngest your youre yours yourself zeta zoo
"""
_SHARED_WORDS = """
    a able abs ad age air al album algebra algorithm all alpha also altitude am an angle animal annual arc arcs are
    area arithmetic arms arrange art as aside at ate axes axis balance ball band bank bar base bases basic be bet beta
    binomial bit bonus box bus by calculate camp can candy car card care carton case cash cell cent centimeter central
    certain chain chair chance change charge chi choir chose circular class client club code coin color column com
    combine come commission common complement complex composite compute concert conference constant construction
    continue contradiction converge convert coordinate correct correspond cosa cosine coupon cousin cover cross cube
    current dare das data date decimal deck degenerate degree delta des dessert det diagonal diagram diameter die
    differ difference digit dim dimensions dire direction discriminant display distance distinct division divisor do
    doctor dollar domain donation door double dove due ellipse energy entire equal equation ergo error et eta euros
    evaluate even exact examine example except exclude exercise exponent exponential expression exterior extra face
    factor factorial fait fast fee final fine flat focus fold for force forces form format formula fraction frame
    fruit function fund gain gamma garage gas gender general gift go gold grams graph group ha hall hand hat hay
    hemisphere her hexagon hier horizontal hotel hypotenuse id idea ideal identical im image imaginary in independent
    individual induction infinite information initial instance int integral intersection interval inverse ion is
    isolate it item kappa kaya kilogram kilometer kind label lambda land last late lateral lemma lemon level lima
    limit line linear liquid list liter local log logic logo long lot machine magnitude main mal male man manager
    mango mari mas mass material maximum me median medium men met metal meter method metric mile million mine minimal
    minimum minus minute mode model modular module modulo monotone more mu multiple multiplication my national natural
    negative net no non nor normal notation note nu numerator observe octagon off ok omega on open operation option or
    orange original over pace pack page paint pair palindrome par parabola parallel part partial parts pas pass past
    pen pentagon per percent percentage perfect permutation permutations person personal pet phi piano piece pile
    pizza place plan plane planet plant plate plus point polar polygon portion pose position positive possible post
    pot potential pour present president pretty pro problem process produce product profit program progression project
    projection proportion proportional pyramid quadrant quadratic quart question questions quotient radical radius
    rang range rank ratio rational real rectangle red reflection region regular rest restaurant result rho ring rode
    room rose rotation route salad sale sama sand sauce sawa sea sec section sector see segment senior sense sent
    separate sequence sera series serve service set sex sigma sign similar simple sin so social sold solid solution
    soma son sons sort sphere sports stand standard station stop sub suit sum support sure surface symmetric system
    table tad tan tangent tangents tank tape tau telescope ten term test theta till to toilet total tout trace train
    transform transport travel triangle triangular triple type um uniform union unique unit urn usual vain valid van
    variable vector ver verify vertex vertical vice video visible visit volume wage was we will winter zero
"""

_FREQUENT: dict[str, str] = {
    "es": """
        el los las del una unas que por para como pero donde cuando entonces luego tenemos es son está están ser
        sea hay muy más menos también así esto esta este ese cada entre sobre hasta desde según igual ahora
        primero si lo le nos se su sus respuesta suma uno dos tres cuatro cinco seis siete ocho nueve diez
        número números ecuación valor tanto obtenemos podemos debemos vamos ver decir cómo qué todo todos tiene
        tienen puede otro otra lado resultado""",
    "fr": """
        le les des une que qui pour avec dans est sont être nous vous ils elle donc alors mais aussi car puisque
        ainsi cette ces ce leur sur par pas très peut fait si où et ou ne du au aux son sa ses réponse somme
        deux trois quatre cinq sept huit neuf dix nombre nombres équation valeur obtient doit avons faut voir
        dire comment quoi tout tous autre côté résultat lorsque chaque premier deuxième il on""",
    "de": """
        der das dem den des ein eine einen einem einer und oder aber nicht ist sind wir ihr sie mit von zum zur
        auf für aus bei nach dann wenn weil dass daher somit ergibt gilt kann muss haben wird werden auch nur
        noch wie daraus jetzt zuerst antwort summe lautet eins zwei drei vier fünf sechs sieben acht neun zehn
        zahl zahlen gleichung wert erhalten können müssen sehen sagen alle jede andere seite ergebnis diese
        dieser dieses hier mal hat im am einfach""",
    "it": """
        il gli della delle degli dei nel nella che per con come dove quando quindi allora abbiamo sono è essere
        ma anche più questo questa dal dalla uno una di da si non ora prima risposta somma dunque cui due tre
        quattro cinque sei sette otto nove dieci numero numeri equazione valore otteniamo possiamo dobbiamo
        vediamo tutto tutti altro lato risultato ogni questi perché poi cosa hanno fa loro""",
    "pt": """
        os as do da dos das um uma que para com como mas onde quando então portanto temos é são ser está mais
        também isso este esta pela pelo não na nos ao se agora primeiro resposta soma logo dois três quatro
        cinco sete oito nove dez número números equação valor obtemos podemos devemos vamos ver tudo todos outro
        lado resultado cada tem têm pode porque assim à às""",
    "nl": """
        het een van dat dit deze zijn wordt niet met voor naar uit maar dus dan wij ook meer nog moet kan hebben
        heeft wat hoe er te aan bij nu eerst antwoord som daarom gelijk twee drie vier vijf zes zeven acht negen
        tien getal getallen vergelijking waarde krijgen kunnen moeten zien alle elke andere zijde zij als door
        over geeft omdat geen waar""",
    "pl": """
        jest są się że nie oraz lub ale gdy więc zatem dla przez jak tak czy już tylko mamy można wynosi suma
        teraz najpierw odpowiedź to na do po od ze jeden dwa trzy cztery pięć sześć siedem osiem dziewięć
        dziesięć liczba liczb liczby równanie wartość otrzymujemy możemy musimy każdy wszystkie inny wynik
        ponieważ ten ta te tego tutaj""",
    "tr": """
        bir ve bu için ile olarak olan ise daha çok gibi kadar değil ne her sonra önce şimdi eşittir toplamı
        cevap yani veya nedenle o halde iki üç dört beş altı yedi sekiz dokuz on sayı sayısı sayılar denklem
        değer elde ederiz olur vardır tüm diğer sonuç çünkü böylece burada eder olduğu göre kenar""",
    "vi": """
        là và của các một có được không cho trong với này khi thì vậy nên ta do đó số tổng bằng đáp án những
        cũng ra để hai ba bốn năm sáu bảy tám chín mười phương trình giá trị nhận chúng phải tất cả mỗi khác kết
        quả vì từ đến thể như sau trên lại cạnh nếu""",
    "id": """
        yang dan di dari untuk dengan adalah ini itu atau tidak ada pada karena jadi maka kita jumlah sama akan
        dapat juga lebih jawaban sekarang oleh bilangan satu dua tiga empat lima enam tujuh delapan sembilan
        sepuluh persamaan nilai dapatkan harus semua setiap lain hasil seperti bahwa jika tersebut lagi kemudian
        sehingga saya mari hitung banyak ke""",
    "sv": """
        och att det som är en ett av på med för till inte vi har kan så eller men om från då därför alltså talet
        svaret summan blir lika nu först två tre fyra fem sex sju åtta nio tio ekvation ekvationen värde får
        måste alla varje annan sidan resultatet eftersom detta den denna här där hur vad skall ska nästa också""",
    "da": """
        og at det som er en et af på med for til ikke vi har kan så eller men om fra da derfor altså tallet
        svaret summen bliver lig nå først vil""",
    "ro": """
        și este sunt nu pe cu din la că pentru sau dar mai prin deci avem acum întâi suma răspunsul numărul ale
        unui unei lui care astfel atunci unu doi două trei patru cinci șase șapte opt nouă zece numere ecuația
        ecuație valoare valoarea obținem putem trebuie toate fiecare alt rezultat deoarece acest această are fi
        fost ca""",
    "cs": """
        je jsou se že není ale nebo když tak takže proto pro jak už jen máme číslo součet nyní nejprve odpověď
        na do ze při a také který sme sú preto čo dva dvě tři čtyři pět šest sedm osm devět deset čísla rovnice
        hodnota dostaneme můžeme musíme všechny každý jiný výsledek protože tento tedy zde kde má jsme byl této
        bude""",
    "hu": """
        az és egy hogy nem van ez de is ha vagy mert tehát így akkor ezért számok összege most először válasz
        lesz kell csak már meg el kettő két három négy öt hat hét nyolc kilenc tíz szám számot egyenlet érték
        kapjuk minden másik eredmény mivel ezt ebből itt azt vannak lehet pedig össze""",
    "fi": """
        on ja ei se että hän olla ovat niin kuin mutta tai jos joten siis nyt ensin vastaus summa luku lukujen
        saadaan tämä voidaan myös siksi yksi kaksi kolme neljä viisi kuusi seitsemän kahdeksan yhdeksän kymmenen
        luvun yhtälö arvo saamme täytyy kaikki jokainen toinen tulos koska tässä sitten sen ne meidän kun ole
        kuinka mikä""",
    "hr": """
        je su se da nije ali ili kada tako dakle jer za kao još samo imamo broj zbroj sada prvo odgovor što koji
        to na od iz sve""",
    "ca": """
        els les dels una que per amb com però on quan llavors tenim és són ser més també això aquest aquesta
        suma resposta ara primer doncs""",
    "lt": """
        ir yra kad ne bet arba jei tai kaip todėl dabar suma lygi skaičių atsakymas un ka nav vai ja tad tāpēc
        tagad skaitļu atbilde""",
    "et": """
        ja on ei et see kui siis või aga nüüd summa vastus arvude seega kuid nii""",
    "sw": """
        na ya wa ni kwa katika hii hiyo kama lakini au sasa jumla jibu idadi sawa hivyo kwanza za la""",
    "tl": """
        ang ng mga sa na ay at hindi ito kung kaya ngayon sagot bilang kabuuan dahil natin para""",
    "sq": """
        dhe është në një për me nuk që kjo ky nga tani shuma përgjigja prandaj""",
    "pinyin": """
        suoyi yinwei women zhege yige zheli keyi shi de jiu hai ye dou meiyou ranhou xian jisuan daan dengyu suo
        da an wo men zhe ge mei you deng yu ji suan xia mian""",
}
ENGLISH = frozenset(_ENGLISH_WORDS.split())
SHARED = frozenset(_SHARED_WORDS.split())
FOREIGN = frozenset(word for words in _FREQUENT.values() for word in words.split()) - ENGLISH - {"a"}
