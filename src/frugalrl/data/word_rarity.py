"""How common the words of mathematical problems are: a table of stems, by the logarithm of their rarity.

Counted as the share of problems that contain a stem (of `statements.Statement.gist`), in 55,288 problems of three
public pools (deepscaler_40k, the training parts of MATH and GSM8K): level 4 stands in one problem of about e^4 = 55.
What is rarer than one problem in 1,500 is not listed and has `UNLISTED`. The table is fixed, so that a verdict on two
texts depends on these two texts alone, not on the other rows of a pool or a benchmark. `benchmarks/restated.py
--table` counts it again.
"""

UNLISTED = 8.0
"""Of a stem that is not in the table: a name, a rare thing, a misprint."""

_BY_LEVEL = {
    2: ("all each integer largest one point positive smallest sum triangle"),
    3: (
        "after angle any area between circle cos degre different digit equation every exactly first form function "
        "intersect length line more not or other pi probability right same second select sequenc set sid side sin "
        "sqrt square than through tim total unit"
    ),
    4: (
        "add alpha among amount angl another answer arithmetic arrang average axis base before below both box but "
        "buy center certain cm common consecutive consist constant contain coordinat cost cube day days diagonal "
        "difference distanc divid divisible drawn either end even exampl exist express factor fraction graph "
        "greater half height hold hour inscribed inside interval last left less lie lin log long make measur "
        "midpoint minute money mov multiple must natural need next no non now obtain odd only opposite order "
        "origin out over pair parallel pass perimeter perpendicular person plac plan play polynomial prime "
        "product quadrilateral radius random randomly ratio rectangle rectangular red region regular relatively "
        "remain remainder result root row school segment shown solution some spend squar start student system tak "
        "take tan tangent term th them third time triangl twice up using vector vertex vertic volume ways week "
        "whil who written year"
    ),
    5: (
        "about above acute additional adjacent again age along alway appear appl around arrangement arriv assum "
        "away back bag ball bas beta bill bisector black blue board book bottom bought boys brother buys call car "
        "card cartesian centimeters chang children choos chord circl circular clas coefficient coin color column "
        "combin complet complex condition congruent connect consider construct continu convex corner correct "
        "correspond count cover cubic curv cut decid decimal diagram diameter dice die direction divides dollar "
        "down draw dur earn eat eccentricity edg element ellipse empty enter entir equally equilateral expansion "
        "expect expres fac face fair feet fewer fifth figur fill finish foci focus foot found fourth friend gam "
        "game gave geometric girl giv go goes green grid group hand hexagon high him home hous however hyperbola "
        "hypotenuse inches includ inclusive increasing inequality infty initially interior intersection isosceles "
        "john label larg larger leav letter lfloor list made mak mark math mean median member meters method middl "
        "mile mod monday month most move nearest negative number off old omega once ordered original outside paid "
        "paint paper parabola parameter parametric part participat pay percentag perfect period pick piec player "
        "polar pole polygon position pound power previous pric profit property purchas put pyramid quadratic "
        "quarter range rate reach read receiv remov repeat represent representation requir rest return rfloor "
        "roll round rows run scor sell separat sets shad shap shar should show simplify singl size slop small "
        "smaller sold spac spe spent sphere stand standard still stor straight subset surface tabl taken team "
        "tetrahedron theta together took top touch trapezoid travel trip true turn until use used uses walk water "
        "way weigh went white whol within without word work worth writ yellow yuan zero"
    ),
    6: (
        "able absolut accord account achiev acros addition additionally adds adult against ages ago agre alic "
        "allow already alternat altitude altogether animal annual apart arc array ascend ask assign asymptot ate "
        "attend availabl axes bags bak bank basketball batch becaus becom begin beginn belong best bicycl binom "
        "birthday bisect block bob bottl bound bowl boy break bring build bus calculat came candi candy cans cap "
        "carry cars catch cell cent centroid chair chanc charg chessboard chicken child chocolat choic "
        "circumcircl circumference circumscribed city class clock clockwise closest club coincid collect "
        "collection collinear com combination come comma company compar competition completely compos computer "
        "cone consecutively contest convert cooki correctly cot country creat cros cub cup cups current currently "
        "customer cuts cylinder cylindrical daily data deck decreasing deliver delta denominator describ determin "
        "differ dimension dinner directly discount display distribut distribution dog dogs domain done doubl "
        "double dozen drink driv dropp due east eats eggs enclos enough ensur establish estimat evenly event "
        "everyon exam exce exceed except expand explain extend externally extra factory fall family far farm "
        "farmer fast father femal fenc field final finally find finit fish fix flat flip floor flower fold follow "
        "food formula frac free friday front fruit full gallon gallons gamma garden gcd general gett goal going "
        "gold gon good got grad ground grow head heads higher horizontal ice ii imaginary immediately inch "
        "increas increase increased independent independently indicat individual infinit initial instead int "
        "integral intercept interest internal inverse item itself jack jam jar job join journey jump just keep kg "
        "kilogram kilometers kind km know lambda land later lateral lattic lceil lead leg legs level light lik "
        "like likely lim limit linear liters liv ln local longer longest look lose lost lower lunch magnitud male "
        "marbl market mary match mathematic matrix matter maximiz meet men meter milk minimiz minor miss mix "
        "modulo monotonically monthly morn mother mr mrs multipl multipli necessarily necessary neighbor neither "
        "never nickel night none nonnegativ nonzero nor normal notic observ occupi occur octagon offer older ones "
        "onto open operation orang originally otherwis ounc owns pack packag pag page pairwis palindrom "
        "parallelogram parent park participant particular party past path pattern pays pencil pentagon perform "
        "permutation perp phi phon pictur pizza plann plant plat plus population portion prepar present prim "
        "prism problem proces produc progression project projection properti propos provid puts quadrant question "
        "quotient race radian radii rais rational ray rceil realiz reason reciprocal record rectangl reduc "
        "reflect reflection relationship replac replacement respect respectiv restaurant revers rho rhombus rid "
        "ride ring road room rotat rotation rout rul rule runn runs said sal sale sampl saturday sav save say "
        "scal season seat section sector see semi semicircl seri serv several sheet shift shirt shop shorter "
        "shortest sign similar simplifi simultaneously sinc sister sit sitt sixth slic solid split st stack star "
        "stat statement station stay step stop strictly subsequent subtract sums sunday survey symmetric symmetry "
        "tails tall tangency tank tax teacher tell tens tenth test think thousand throw thursday ticket til today "
        "told tom toss tournament toward town track train tre tree triangular tripl triple truck try tuesday "
        "twenty typ type under uniformly uniqu upper variabl vertical very visit wait wall watch wednesday "
        "weekend weight well whether wide width win winn winner wins women won wrot"
    ),
    7: (
        "abcdefgh activiti activity actual actually adam afternoon air alex algebraic alon alphabet altitud am "
        "american andrew anna ant apartment appli apply approach approx approximat approximately april arbitrary "
        "arccos arcs arcsin art asks attempt averag award backward bake balanc balloon banana band bar bars "
        "baseball basket beach bead bean behind ben better betty beyond big bik bike billy binary binomial bird "
        "birth blackboard blank bonanza border born borrow boundary branch brand bread breakfast brick broken "
        "brought brown bucket bug built bullet burger burn busines butter button cak cake calculation calculator "
        "calori capacity carl carla carri cas case cat cats caught caus central character cheaper check chees "
        "chen ches chines chip circumcenter citi classroom clean climb closed closer cloth coffe colleg committe "
        "community compet composite comput concentric conduct configuration construction consum container "
        "contribut cook copi coplanar coprim cosin counterclockwise coupl cours cows crawl cream cross cupcak "
        "cutt cycl cyclic dad danc date daughter david dealt decrease decreased deep definit delivery depart "
        "department deposit design destination diamond digital dihedral dim dimensional directrix discover "
        "distinguishable division doctor doesn doing don donat door dot dots drawer drew driver drop drov earning "
        "earth eaten eighth eliminat ell else emily employe encounter endpoint english entirely entri entry "
        "equality eras error etc evan everyth exact exchang exclud exercis expens expensiv exponent expression "
        "extension exterior external extrem factorial factorization faster favorit february fee feed fell few "
        "fifteen fit flight flipp flour fly football format forty forward fractional fri frog fully fund further "
        "furthermor gain gas gather generat georg gift glas gram grocery guarante gues guess guest hair halfway "
        "handshak happen harry harvest held help hemispher herself highway himself hir history hit hits hitt "
        "homework horizontally horner hors host hot hundr hundred hundredth iii imag incenter incircl inclination "
        "incom incorrect indistinguishable inequaliti infinitely information ingredient inner instanc insuranc "
        "internally inversely invest investment invit involv island jane janet january jason jeff jenny jerry "
        "jill jim joe juic june kept kevin kids kilometer king kitchen knight lake languag lap late launch lawn "
        "layer lcm leagu learn leftmost lemonad lg li liar library licens life lift lily liquid lisa liter littl "
        "live ll load location logarithm los loser loss lot lov lying machin magic main maintain major mall man "
        "manag manner march maria mass material mathematical mathematician matt meal meat met michael mike "
        "million ming minu mixtur mode model mom moment monic monotonic monotonicity moreover mountain movi mph "
        "ms mu multiplication multiply music mutually nam national nd net noon normally north notation notebook "
        "novel numerator numerical object obtuse occurr octahedron offic onlin operat option organiz orthocenter "
        "orthogonal our outcom outer overall overlap overlapp owner pant parallelepip partition pascal passenger "
        "paul payment peanut pen penni penny pens performanc pet peter petya photo pie pies pil pile plot plott "
        "pocket polyhedron pond pool possibiliti possibly post potato pour practic preced print priz probabiliti "
        "prod production program proof proper proportional pull purpl quadrupl quantity rabbit radical rain ran "
        "rang rank rationaliz rays rd re real rearrang recall recip recursively regardles relat relativ releas "
        "remember rent repeatedly repetition requirement research residu revenu rightmost river rock rope ros "
        "rose rubl salary sally sam sandwich sarah saving saw says schedul schem scienc sec seed sees selection "
        "send senior sent sequentially servic seventh shak shelf ship sho shoot shopp short shot sibling sigma "
        "silver sim similarly simple simplest siz slant snack snow soccer sock soda solv someon son song south "
        "special specific speed spher spherical spinner sport spot spr stamp stev stick sticker stock ston str "
        "street stretch strip study subject subseteq successiv sugar suit summer supermarket suppli supply suppos "
        "sure swimm switch symbol tail taller target task teach temperatur tenni terminal terminat themselv "
        "therefor thirty thrown thus tie ties tile tip tir tomato tons tony too tower toy toys trad traffic "
        "trajectory transform translat transport treat tri triplet trisect truth tupl unchang unfortunately "
        "uniform union upon upward usual vacation valid vari varianc variou vasya vegetabl vehicl vertically "
        "video view visibl volum volunteer vowel wang want wash wear west wheel whenever whom why wife window "
        "wire woman wood wooden worker world xi xiao yard yards yesterday yield younger zoo"
    ),
}
_LEVELS = {word: float(level) for level, words in _BY_LEVEL.items() for word in words.split()}


def word_rarity(stem: str) -> float:
    """The logarithm of one over the share of problems that hold a stem, 2..8."""
    return _LEVELS.get(stem, UNLISTED)
