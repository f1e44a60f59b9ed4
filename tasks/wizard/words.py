"""The questions of the pages, and their possible answers.

Any two answers of one length differ in three letters or more, so that a misspelt one can be recognised. Things and places are for
workflows whose right answers stand in no goal. There a page shows a thing, which belongs in one of the places by a rule of the house.
"""

FIELDS: dict[str, tuple[str, ...]] = {
    "Colour": ("amber", "blue", "crimson", "green", "ivory", "olive", "purple", "silver", "turquoise", "violet"),
    "City": ("athens", "bergen", "cairo", "dublin", "geneva", "lima", "madrid", "oslo", "prague", "tokyo"),
    "Drink": ("eggnog", "cocoa", "coffee", "juice", "lemonade", "buttermilk", "smoothie", "soda", "tea", "espresso"),
    "Tree": ("ash", "poplar", "larch", "cedar", "elm", "juniper", "sycamore", "chestnut", "hemlock", "willow"),
    "Instrument": ("mandolin", "bassoon", "cello", "clarinet", "marimba", "flute", "guitar", "harp", "piano", "fiddle"),
    "Fabric": ("canvas", "cotton", "denim", "fleece", "linen", "satin", "silk", "corduroy", "velvet", "wool"),
    "Metal": ("brass", "bronze", "chrome", "copper", "iron", "nickel", "steel", "cobalt", "titanium", "zinc"),
    "Fruit": ("apple", "banana", "cherry", "fig", "grape", "tangerine", "mango", "peach", "pear", "apricot"),
    "Animal": ("badger", "beaver", "camel", "falcon", "goat", "heron", "lynx", "otter", "rabbit", "zebra"),
    "Vehicle": ("barge", "bicycle", "bus", "canoe", "ferry", "wagon", "scooter", "sledge", "tramway", "minibus"),
    "Room": ("attic", "balcony", "cellar", "garage", "corridor", "kitchen", "library", "nursery", "pantry", "studio"),
    "Tool": ("chisel", "drill", "crowbar", "hammer", "screwdriver", "pliers", "rake", "hacksaw", "spade", "wrench"),
}

THINGS = tuple(f"{word} {letter}" for letter in "ABCDEFGH" for words in FIELDS.values() for word in words)
PLACES = ("north", "east", "south", "west", "yard", "dock", "roof", "gate")
