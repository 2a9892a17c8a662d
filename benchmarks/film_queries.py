"""Queries about films and series with the titles that answer them, judged by hand from what the films are about.

A grade of 3 is what the query means, 1 is another good answer. A title that two records share has its media type
behind it. The last groups say the same six things in other languages, so that only the language differs.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class JudgedQuery:
    """A query in *language* (ISO 639-1) of a *kind*, and the grades of the titles that answer it."""

    text: str
    language: str
    kind: str
    grades: dict[str, int]


_PLOTS: dict[str, dict[str, int]] = {
    "hacker wakes up from a simulated world": {"The Matrix": 3, "Ghost in the Shell": 1, "Alice in Borderland": 1},
    "thieves who steal secrets from dreams": {"Inception": 3},
    "giant shark terrorizes a beach town": {"Jaws": 3},
    "cloned dinosaurs escape in a theme park": {"Jurassic Park": 3},
    "a man relives the same day over and over": {"Groundhog Day": 3, "Run Lola Run": 1},
    "ship hits an iceberg and two lovers are parted": {"Titanic": 3},
    "banker sent to prison for a murder he did not commit": {"The Shawshank Redemption": 3, "When They See Us": 1},
    "chemistry teacher with cancer makes drugs": {"Breaking Bad": 3, "How to Sell Drugs Online (Fast)": 1},
    "old man ties balloons to his house and flies away": {"Up": 3},
    "rat who wants to be a chef": {"Ratatouille": 3},
    "man with no short-term memory hunts his wife's killer": {"Memento": 3},
    "couple erase each other from their memories": {"Eternal Sunshine of the Spotless Mind": 3},
    "stranded alone on Mars growing potatoes": {"The Martian": 3},
    "astronauts travel through a wormhole to find a new home for humanity": {"Interstellar": 3},
    "linguist learns the language of alien visitors": {"Arrival": 3, "Close Encounters of the Third Kind": 1},
    "poor family worms its way into a rich household": {"Parasite": 3, "Shoplifters": 1},
    "people in debt play children's games to the death for money": {"Squid Game": 3, "Alice in Borderland": 1},
    "nuclear reactor explodes and officials lie about it": {"Chernobyl": 3},
    "jury argues about a murder verdict": {"12 Angry Men": 3, "Anatomy of a Fall": 1},
    "FBI trainee asks a cannibal for help": {"The Silence of the Lambs": 3, "Hannibal": 2, "Mindhunter": 1},
    "drummer and his brutal teacher": {"Whiplash": 3},
    "lonely man falls in love with his computer's voice": {"Her": 3, "Blade Runner 2049": 1},
    "robot left alone to clean up the Earth": {"WALL·E": 3, "The Wild Robot": 1},
    "orphan boy finds out he is a wizard and goes to a school of magic": {"Harry Potter and the Philosopher's Stone": 3},
    "small hero must carry a ring to destroy it": {"The Lord of the Rings: The Fellowship of the Ring": 3},
    "office where employees' work memories are separated from private life": {"Severance": 3},
    "black man meets his white girlfriend's sinister family": {"Get Out": 3},
    "zombies on a train": {"Train to Busan": 3, "All of Us Are Dead": 1, "28 Days Later": 1, "Snowpiercer": 1},
    "orphan chess prodigy": {"The Queen's Gambit": 3},
    "noble families fight for the throne, with dragons": {
        "Game of Thrones": 3, "House of the Dragon": 3, "Shōgun": 1, "Nirvana in Fire": 1
    },
    "father searches the ocean for his son, a fish": {"Finding Nemo": 3},
    "factory owner saves Jews from the Nazis": {"Schindler's List": 3, "The Pianist": 1, "Life Is Beautiful": 1},
    "mother and son held captive in one room": {"Room": 3},
    "a bounty hunter protects a small green child": {"The Mandalorian": 3},
    "student finds a notebook that kills whoever is named in it": {"Death Note": 3},
}  # fmt: skip

_MOODS: dict[str, dict[str, int]] = {
    "cartoon about toys": {"Toy Story": 3, "Toy Story 2": 3, "Toy Story 3": 3, "Toy Story 4": 3},
    "like Inception but lighter": {"Inception": 2, "Everything Everywhere All at Once": 2, "Groundhog Day": 1,
                                   "The Truman Show": 1, "Eternal Sunshine of the Spotless Mind": 2,
                                   "Back to the Future": 1},
    "feel-good comedy about a football coach": {"Ted Lasso": 3},
    "slow and sad film about growing old together": {"Amour": 3, "Tokyo Story": 2, "The Father": 1, "Ikiru": 1, "Up": 1},
    "bleak war film that shows the horror of combat": {
        "Come and See": 3, "All Quiet on the Western Front (movie)": 3, "Saving Private Ryan": 2, "Platoon": 2,
        "Apocalypse Now": 2, "1917": 2, "Dunkirk": 2, "Paths of Glory": 2, "Das Boot": 1, "Band of Brothers": 1,
        "The Pacific": 1, "They Shall Not Grow Old": 2, "Generation War": 1,
    },
    "scary haunted house": {"The Haunting of Hill House": 3, "The Conjuring": 3, "House (movie)": 3, "The Orphanage": 2,
                            "The Shining": 2, "The Babadook": 1, "Under the Shadow": 2},
    "documentary about animals in the wild": {"Planet Earth": 3, "Blue Planet II": 3, "March of the Penguins": 3,
                                              "My Octopus Teacher": 2, "Grizzly Man": 2, "Blackfish": 1},
    "gentle animation for small children": {"Bluey": 3, "My Neighbor Totoro": 3, "Kiki's Delivery Service": 2,
                                            "Sesame Street": 1, "Bambi": 1, "SpongeBob SquarePants": 1},
    "romance between two strangers in a foreign city": {"Before Sunrise": 3, "Lost in Translation": 3,
                                                         "In the Mood for Love": 1, "The Lunchbox": 1, "Once": 1},
    "gritty mafia family saga": {"The Godfather": 3, "The Godfather Part II": 3, "GoodFellas": 3, "The Sopranos": 3,
                                 "Gomorrah": 3, "Peaky Blinders": 1, "Gangs of Wasseypur - Part 1": 2, "Scarface": 1},
    "warm comedy about friends in New York": {"Friends": 3, "Seinfeld": 3, "When Harry Met Sally...": 2,
                                              "Only Murders in the Building": 1, "Brooklyn Nine-Nine": 1},
    "mind-bending time travel mystery": {"Dark": 3, "Steins;Gate": 3, "Someday or One Day": 3, "Back to the Future": 1,
                                         "Signal": 1, "Doctor Who": 1, "Interstellar": 1},
}  # fmt: skip

_SAME_IN_OTHER_LANGUAGES: list[tuple[dict[str, int], dict[str, str]]] = [
    (_PLOTS["giant shark terrorizes a beach town"], {
        "de": "riesiger Hai terrorisiert einen Badeort", "es": "un tiburón gigante aterroriza un pueblo de playa",
        "fr": "un requin géant terrorise une station balnéaire", "zh": "巨大的鲨鱼袭击海滨小镇",
        "ja": "巨大なサメが海辺の町を襲う", "hi": "विशाल शार्क समुद्र तट के शहर में आतंक मचाती है"}),
    (_PLOTS["rat who wants to be a chef"], {
        "de": "eine Ratte, die Koch werden will", "es": "una rata que quiere ser cocinero",
        "fr": "un rat qui veut devenir cuisinier", "zh": "想当厨师的老鼠",
        "ja": "料理人になりたいネズミ", "hi": "एक चूहा जो रसोइया बनना चाहता है"}),
    (_PLOTS["a man relives the same day over and over"], {
        "de": "ein Mann erlebt immer wieder denselben Tag", "es": "un hombre revive el mismo día una y otra vez",
        "fr": "un homme revit sans cesse la même journée", "zh": "一个男人不断重复过同一天",
        "ja": "同じ一日を何度も繰り返す男", "hi": "एक आदमी बार-बार वही दिन जीता है"}),
    (_PLOTS["stranded alone on Mars growing potatoes"], {
        "de": "allein auf dem Mars gestrandet und Kartoffeln anbauen", "es": "varado solo en Marte cultivando patatas",
        "fr": "seul sur Mars à cultiver des pommes de terre", "zh": "独自被困在火星上种土豆",
        "ja": "火星に一人取り残されてジャガイモを育てる", "hi": "मंगल ग्रह पर अकेला फँसा आदमी आलू उगाता है"}),
    (_PLOTS["orphan boy finds out he is a wizard and goes to a school of magic"], {
        "de": "Waisenjunge erfährt, dass er ein Zauberer ist, und kommt auf eine Zauberschule",
        "es": "un niño huérfano descubre que es mago y va a una escuela de magia",
        "fr": "un garçon orphelin découvre qu'il est sorcier et part dans une école de magie",
        "zh": "孤儿发现自己是巫师并进入魔法学校", "ja": "孤児の少年が魔法使いだと知り魔法学校に入る",
        "hi": "अनाथ लड़का जान जाता है कि वह जादूगर है और जादू के स्कूल में जाता है"}),
    (_MOODS["cartoon about toys"], {
        "de": "Zeichentrickfilm über Spielzeug", "es": "dibujos animados sobre juguetes",
        "fr": "dessin animé sur des jouets", "zh": "关于玩具的动画片",
        "ja": "おもちゃのアニメ", "hi": "खिलौनों के बारे में कार्टून"}),
]  # fmt: skip

QUERIES: list[JudgedQuery] = [
    *(JudgedQuery(text=text, language="en", kind="plot", grades=grades) for text, grades in _PLOTS.items()),
    *(JudgedQuery(text=text, language="en", kind="mood", grades=grades) for text, grades in _MOODS.items()),
    *(
        JudgedQuery(text=text, language=language, kind="translated", grades=grades)
        for grades, translations in _SAME_IN_OTHER_LANGUAGES
        for language, text in translations.items()
    ),
]
