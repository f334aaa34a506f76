"""The Complete Journey's labels made readable: they come in upper case, abbreviated, and cut after 30 characters."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping

LABEL_LIMIT = 30  # characters after which the source cuts a label

WORDS = {
    "ACC": "accessories", "ACCES": "accessories", "ACCESS": "accessories", "ACCS": "accessories",
    "ACCSS": "accessories", "BEV": "beverages", "BEVERAG": "beverages", "BG": "bags", "BKD": "baked", "BN": "beans",
    "BRD": "bread", "BRDS": "breads", "BRKFST": "breakfast", "BRST": "breast", "BSKTS": "baskets", "BTH": "bath",
    "BTL": "bottle", "BTLS": "bottles", "BTR": "butter", "CARB": "carbonated", "CATFD": "cat food",
    "CHIX": "chicken", "CHOC": "chocolate", "CHP": "chop", "CHS": "cheese", "CIG": "cigarette",
    "CKTLS": "cocktails", "CKYS": "cookies", "CLEANG": "cleaning", "CND": "canned", "CNDLES": "candles",
    "CNDY": "candy", "CNTRL": "control", "COFF": "coffee", "CONC": "concentrate", "CONT": "contributions",
    "CONTAINR": "containers", "CRAN": "cranberry", "CRBNTD": "carbonated", "CRKR": "crackers", "CRMD": "creamed",
    "CRYSTL": "crystal", "DAN": "danish", "DECAFFINATED": "decaffeinated", "DECORS": "decorations",
    "DISPOSIBLE": "disposable", "DNR": "dinner", "DNRS": "dinners", "DOGFD": "dog food", "DRG": "drug",
    "DRNK": "drink", "DRNKING": "drinking", "DRNKNG": "drinking", "DRNKS": "drinks", "DRSNG": "dressing",
    "DSH": "dishes", "ELECT": "electrical", "EXC": "except", "EXCP": "except", "EXP": "expense", "FD": "food",
    "FDS": "foods", "FEM": "feminine", "FLAV": "flavored", "FLNK": "flank", "FLO": "flour",
    "FLOURSCENT": "fluorescent", "FLV": "flavored", "FLVR": "flavored", "FLVRD": "flavored", "FRD": "fried",
    "FRE": "fresh", "FRS": "fresh", "FRZ": "frozen", "FRZN": "frozen", "GDS": "goods", "GNGR": "ginger",
    "GRA": "gravy", "GRND": "ground", "HNGRS": "hangers", "HYGN": "hygiene", "INCL": "including", "INDR": "indoor",
    "INF": "infant", "INGRED": "ingredients", "JCE": "juice", "JUI": "juice", "JUIC": "juice", "LAY": "layers",
    "LIQ": "liquid", "LIQS": "liquids", "LNDRY": "laundry", "LRG": "large", "LSS": "less", "LTR": "liter",
    "MARINA": "marinade", "MEMORABLILIA": "memorabilia", "MERCH": "merchandise", "MFG": "manufacturer",
    "MISC": "miscellaneous", "MIXS": "mixes", "MLK": "milk", "MLT": "multi", "MNERAL": "mineral", "MNRL": "mineral",
    "MULT": "multi", "MUSTAR": "mustard", "MX": "mix", "MXS": "mixes", "NAT": "natural", "NATRL": "natural",
    "NDAIRY": "non-dairy", "ORG": "organic", "OTH": "other", "PAC": "pack", "PCKGD": "packaged", "PK": "pack",
    "PKG": "packaged", "PKGD": "packaged", "PKLD": "pickled", "PLSTC": "plastic", "PNCH": "punch", "PNT": "peanut",
    "PNUT": "peanut", "PPK": "prepacked", "PREM": "premium", "PREP": "prepared", "PROD": "product",
    "PRPCK": "prepacked", "PRSLC": "presliced", "PTTY": "patty", "PWDR": "powder", "PWDRS": "powders",
    "RBR": "rubber", "REFRGRATD": "refrigerated", "REFRIG": "refrigerated", "REG": "regular", "RETL": "retail",
    "SAL": "salad", "SALD": "salad", "SCE": "sauce", "SFT": "soft", "SGL": "single", "SHERBTS": "sherbets",
    "SHLDR": "shoulder", "SHLFSH": "shellfish", "SHNK": "shank", "SLC": "sliced", "SLD": "salad", "SMI": "semi",
    "SNDWCH": "sandwich", "SNGL": "single", "SNKS": "snacks", "SNSL": "seasonal", "SOD": "soda", "SPLY": "supplies",
    "SPRD": "spread", "SRV": "serve", "STK": "steak", "SUG": "sugar", "SUP": "supplies", "SUPP": "supplements",
    "SUPPPLIES": "supplies", "SV": "service", "SW": "sweet", "SWE": "sweetener", "SWEE": "sweetener",
    "SWEETNERS": "sweeteners", "SWT": "sweet", "SYRP": "syrup", "THN": "than", "TISS": "tissues", "TRSH": "trash",
    "VAC": "vacuum", "VAL": "value", "VEG": "vegetable", "VEND": "vending", "WAT": "water", "WHL": "whole",
    "WHLSM": "wholesome", "WT": "weight", "WTR": "water", "XMAS": "christmas",
}  # fmt: skip
PHRASES = {
    r"\bW/\s*O\b\s*": "WITHOUT ",
    r"\bW/\s*": "WITH ",
    r"\bMISC\.": "MISC ",
    r"\bSUP PREM\b": "SUPER PREM",
    r"\b(SGL|SNGL) SV\b|\bSS\b": "SINGLE SERVE",
}
KEPT_UPPER = frozenset(
    ("BBQ", "CD", "DVD", "DVDS", "DXM", "FM", "HBC", "IQF", "MLB", "NBA", "NFL", "NZ", "OJ", "OTC", "RTD", "RX", "SPF",
     "TN", "TV", "UHT", "VHS")
)  # fmt: skip
SMALL = frozenset(("a", "and", "by", "for", "in", "of", "on", "or", "the", "to", "with", "without"))
DEPARTMENTS = {
    "CNTRL/STORE SUP": "Store Supplies",
    "DRUG GM": "Drug and General Merchandise",
    "ELECT &PLUMBING": "Electrical and Plumbing",
    "GM MERCH EXP": "General Merchandise Expense",
    "MEAT-PCKGD": "Packaged Meat",
    "PROD-WHS SALES": "Produce Warehouse Sales",
    "SEAFOOD-PCKGD": "Packaged Seafood",
}
UNITS = {"GA": "gal", "L": "L", "LS": "lb", "LD": "loads"}


def readable(labels: Iterable[str]) -> dict[str, str]:
    """Each label as a shopper would read it: `ICE - CRUSHED/CUBED` is Ice Crushed/Cubed."""
    known = sorted(set(labels))
    vocabulary = Counter(word for label in known if len(label) < LABEL_LIMIT for word in re.findall(r"[A-Z]+", label))
    return {label: DEPARTMENTS.get(label) or _title(_mend(label, vocabulary)) or label for label in known}


def _mend(label: str, vocabulary: Mapping[str, int]) -> str:
    """Complete or drop what the source cut: an open parenthesis goes, a cut word is ended as other labels end it."""
    closed = re.sub(r"(?<=.)\(EW\)|(?<=.)\s*\([^)]*$", "", label)
    last = re.search(r"(?<![\w'])[A-Z]+$", label)
    if closed != label or len(label) < LABEL_LIMIT or not last:
        return closed
    if len(last[0]) > 2 and (last[0] in WORDS or last[0] in vocabulary):
        return closed
    endings = [word for word in vocabulary if word.startswith(last[0])] if len(last[0]) > 2 else []
    best = max(endings, key=lambda word: (vocabulary[word], word), default="")
    return re.sub(r"[\s\-/&:,(]+(?:W/O?|AND|OR|N)?[\s\-/&:,(]*$", "", label[: last.start()] + best)


def _title(label: str) -> str:
    for pattern, plain in PHRASES.items():
        label = re.sub(pattern, plain, label)
    label = re.sub(r"\s+-\s*|\s*-\s+", " ", label)
    label = re.sub(r"\s*([:,])\s*", r"\1 ", label)
    label = re.sub(r"\s*&\s*", " & ", label)
    label = re.sub(r"(?<=\w)\(", " (", re.sub(r"\s+", " ", label)).strip(" -/&:,")
    return re.sub(r"[A-Z]+(?:'[A-Z]+)?", _word, label)


def _word(found: re.Match[str]) -> str:
    word = found[0]
    if word in KEPT_UPPER:
        return word
    plain = WORDS.get(word, word.lower())
    first = found.start() == 0
    if plain in SMALL and not first:
        return plain
    if found.start() and found.string[found.start() - 1].isdigit():
        return plain  # 18in, 15pk
    return " ".join(part[:1].upper() + part[1:] for part in plain.split())


def readable_size(size: str) -> str | None:
    """A package size as printed on a shelf label: `22 LB` is 22 lb; article numbers are no sizes."""
    size = re.sub(r"\s+", " ", size.strip())
    size = re.sub(r"^\d{5,}\s*", "", size)  # an article number before the size
    size = re.sub(r"^(?:P|L|BD)\s+(?=[\d.])", "", size)
    if not re.search(r"\d", size) and size not in ("HALF GAL", "ONESIZE", "TWIN PK"):
        return None
    return re.sub(r"[A-Z]+", lambda unit: UNITS.get(unit[0], unit[0].lower()), size)
