"""What the pages ask, and the answers there are. No answer stands in two fields."""

FIELDS: dict[str, tuple[str, ...]] = {
    "Colour": ("amber", "blue", "crimson", "green", "ivory", "olive", "purple", "silver", "teal", "violet"),
    "City": ("athens", "bergen", "cairo", "dublin", "geneva", "lima", "madrid", "oslo", "prague", "tokyo"),
    "Drink": ("cider", "cocoa", "coffee", "juice", "lemonade", "milk", "punch", "soda", "tea", "water"),
    "Tree": ("ash", "beech", "larch", "cedar", "elm", "fir", "maple", "oak", "pine", "willow"),
    "Instrument": ("banjo", "bassoon", "cello", "clarinet", "drum", "flute", "guitar", "harp", "piano", "violin"),
    "Fabric": ("canvas", "cotton", "denim", "felt", "linen", "satin", "silk", "suede", "velvet", "wool"),
    "Metal": ("brass", "bronze", "chrome", "copper", "iron", "nickel", "steel", "tin", "titanium", "zinc"),
    "Fruit": ("apple", "banana", "cherry", "fig", "grape", "lemon", "mango", "peach", "pear", "plum"),
    "Animal": ("badger", "beaver", "camel", "falcon", "goat", "heron", "lynx", "otter", "rabbit", "zebra"),
    "Vehicle": ("barge", "bicycle", "bus", "canoe", "ferry", "wagon", "scooter", "sledge", "tram", "van"),
    "Room": ("attic", "balcony", "cellar", "garage", "hall", "kitchen", "library", "nursery", "pantry", "studio"),
    "Tool": ("chisel", "drill", "file", "hammer", "ladder", "pliers", "rake", "saw", "spade", "wrench"),
}
