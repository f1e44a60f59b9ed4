"""Farewing over bare ASGI: its pages, what its forms refuse, and what an episode's account is after them."""

import asyncio
import html
import importlib
import itertools
import random
import re
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from webgym.packs import registry

ROOT = Path(__file__).parents[3]
registry.task("travel.rebook")
account, timetable, worlds = (importlib.import_module(f"webgym_tasks.travel.{name}") for name in ("account", "timetable", "worlds"))
(SITE,) = importlib.import_module("webgym_tasks.travel").sites()
DAY = date(2026, 3, 14)
WHO = account.Passenger("Maria Silva", "BC123456")
SEARCH = {"origin": "Lisbon", "destination": "rome", "depart": "2026-03-14"}


class Visitor:
    """Someone at the site: follows redirects, and remembers the last page."""

    def __init__(self, world=None):
        self.account = asyncio.run(SITE.lease(7, world or account.World()))
        self.status, self.path, self.text = 0, "", ""

    def ask(self, method, address, form=None):
        sent, body, parts = [], urlencode(form or {}).encode(), urlsplit(address)

        async def receive():
            return {"type": "http.request", "body": body}

        async def send(message):
            sent.append(message)

        scope = {
            "type": "http", "method": method, "path": parts.path, "root_path": "", "query_string": parts.query.encode(),
            "headers": [(b"content-type", b"application/x-www-form-urlencoded")], "webgym.state": self.account,
        }  # fmt: skip
        asyncio.run(SITE.app(scope, receive, send))
        self.status, headers = sent[0]["status"], dict(sent[0]["headers"])
        if self.status == 303:
            return self.ask("GET", headers[b"location"].decode())
        raw = b"".join(message.get("body", b"") for message in sent[1:]).decode()
        self.path, self.raw = parts.path, raw
        self.text = html.unescape(" ".join(re.sub(r"<[^>]+>", " ", raw).split()))
        return self

    def get(self, address, **query):
        return self.ask("GET", f"{address}?{urlencode(query)}" if query else address)

    def post(self, address, **form):
        return self.ask("POST", address, form)

    def state(self):
        return SITE.snapshot(self.account)


def cheapest(origin="Lisbon", destination="Rome", day=DAY):
    return min(timetable.flights(origin, destination, day), key=lambda f: f.price)


def booked(fare="Standard", day=DAY, **fields):
    """A trip from Lisbon to Rome, for one."""
    flown = cheapest(day=day)
    leg = account.Leg(flown.service.number, flown.day)
    values = {"seats": (("",),), "bags": (0,), "insurance": False, "paid_by": account.CARDS[0], "total": 200} | fields
    return account.Trip("ABCDEF", (leg,), fare, (WHO,), **values)


def with_trip(**fields):
    return Visitor(account.World(trips=(booked(**fields),), travellers=(WHO,)))


# --- search ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"origin": "Lisbn"}, "Did you mean Lisbon?"),
        ({"origin": ""}, "Choose a city to fly from."),
        ({"destination": "LIS"}, "Choose two different cities."),
        ({"depart": "2025-12-31"}, "The departure date is in the past."),
        ({"depart": "14/03/2026"}, "Enter the departure date as YYYY-MM-DD."),
        ({"depart": "2027-01-01"}, "not on sale yet"),
        ({"trip": "return", "back": "2026-03-13"}, "The return is before the departure."),
        ({"trip": "return"}, "Enter the return date"),
        ({"passengers": "9"}, "Enter 1 to 4 passengers."),
    ],
)
def test_a_search_says_what_is_wrong_with_it(changed, words):
    visitor = Visitor().get("/flights", **(SEARCH | changed))
    assert visitor.status == 422 and words in visitor.text


def prices(visitor):
    return [int(found) for found in re.findall(r"<strong>€(\d+)", visitor.raw)]


def test_results_are_sorted_filtered_and_in_pages():
    flights = timetable.flights("Lisbon", "Rome", DAY)
    first, second = (Visitor().get("/flights", **SEARCH, sort="price", page=n) for n in (1, 2))
    assert prices(first) + prices(second) == sorted(f.price for f in flights)[:16] and len(prices(first)) == 8
    direct = Visitor().get("/flights", **SEARCH, direct="1", sort="duration")
    assert prices(direct) == [f.price for f in sorted(flights, key=lambda f: f.service.lasts) if not f.service.via]
    airline = flights[0].service.airline
    assert prices(Visitor().get("/flights", **SEARCH, airline=airline)) == [f.price for f in flights if f.service.airline == airline]
    evening = Visitor().get("/flights", **SEARCH, time="evening")
    assert prices(evening) == [f.price for f in flights if f.service.leaves >= 18 * 60][:8]
    assert "No flights match" in Visitor().get("/flights", **SEARCH, airline="Nobody").text


def test_what_is_sold_out_cannot_be_chosen():
    gone = cheapest()
    visitor = Visitor(account.World(sold_out=frozenset([gone.key]))).get("/flights", **SEARCH, sort="price")
    assert "Sold out" in visitor.text and gone.key not in visitor.raw
    assert visitor.get("/fares", flights=gone.key).status == 404
    assert visitor.post("/book", flights=gone.key, fare="Light").status == 404 and visitor.account.draft is None


def test_the_calendar_has_the_lowest_price_of_each_day():
    visitor = Visitor().get("/calendar", origin="LIS", destination="Rome", month="2026-03")
    shown = dict(re.findall(r"<b>(\d+)</b> €(\d+)", visitor.raw))
    assert shown["14"] == str(cheapest().price) and len(shown) >= 28
    assert "Did you mean Rome?" in Visitor().get("/calendar", origin="Lisbon", destination="Romee").text


def test_place_fields_suggest():
    assert Visitor().get("/places", q="b").raw == '["Barcelona","Bergen","Berlin","Boston","Brussels"]'
    assert Visitor().get("/places").raw == "[]"


# --- booking ---------------------------------------------------------------------------------------------------------------


def at_payment(world=None, **extras):
    """A visitor who has chosen the cheapest flight in Standard, the first free seat, and bags."""
    visitor = Visitor(world)
    visitor.post("/book", flights=cheapest().key, passengers="1", fare="Standard")
    visitor.post("/book/passengers", name1="Maria  Silva", passport1="bc 123456", go="on")
    seat = next(seat for seat in timetable.SEATS if visitor.account.free(visitor.account.draft.legs[0], seat))
    visitor.post("/book/seats", leg="0", who="0", seat=seat)
    visitor.post("/book/seats", go="on")
    visitor.post("/book/extras", **({"bags1": "2"} | extras))
    return visitor, seat


def test_a_booking_from_the_search_to_the_trip():
    visitor, seat = at_payment(insurance="1")
    assert visitor.path == "/book/payment" and visitor.account.draft.due == "payment"
    visitor.post("/book/payment", way=account.CARDS[1], terms="1")
    ((reference, trip),) = visitor.state()["trips"].items()
    rules = account.Policy()
    price = round(cheapest().price * 1.3) + rules.seat[timetable.zone_of(seat)] + 2 * rules.bag + account.INSURANCE
    assert visitor.path == f"/trips/{reference}" and "Your booking is confirmed." in visitor.text
    assert trip["passengers"] == [["Maria Silva", "BC123456"]] and trip["seats"] == [[seat]] and trip["bags"] == [2]
    assert (trip["total"], trip["paid_by"], trip["insurance"], trip["status"]) == (price, account.CARDS[1], True, "upcoming")
    assert visitor.state()["draft"] is None and visitor.post("/book/payment", way=account.CARDS[1], terms="1").path == "/book/passengers"
    assert len(visitor.state()["trips"]) == 1


def test_the_payment_says_what_is_missing():
    visitor, _ = at_payment(account.World(credit=5))
    for form, words in (
        ({"terms": "1"}, "Choose how to pay."),
        ({"way": account.CARDS[0]}, "Accept the fare rules"),
        ({"way": account.CREDIT, "terms": "1"}, "does not cover"),
    ):
        assert words in visitor.post("/book/payment", **form).text and visitor.status == 422
    assert visitor.state()["trips"] == {} and visitor.account.credit == 5
    assert visitor.post("/book/abandon").path == "/" and visitor.state()["draft"] is None


def test_travel_credit_pays():
    visitor, _ = at_payment(account.World(credit=2000))
    visitor.post("/book/payment", way=account.CREDIT, terms="1")
    (trip,) = visitor.state()["trips"].values()
    assert visitor.account.credit == 2000 - trip["total"]


def test_steps_are_taken_in_order():
    visitor = Visitor()
    assert "No booking in progress" in visitor.get("/book/payment").text
    visitor.post("/book", flights=cheapest().key, fare="Light")
    assert visitor.get("/book/payment").path == "/book/passengers"
    assert visitor.post("/book/extras", bags1="1").path == "/book/passengers"
    assert visitor.post("/book/seats", go="on").path == "/book/passengers"


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"name1": "Maria", "passport1": "BC123456"}, "Enter first and last name."),
        ({"name1": "Maria Silva", "passport1": "123456"}, "two letters and six digits"),
        ({}, "Enter first and last name."),
    ],
)
def test_passengers_are_checked(typed, words):
    visitor = Visitor()
    visitor.post("/book", flights=cheapest().key, fare="Light")
    assert words in visitor.post("/book/passengers", **typed, go="on").text and visitor.status == 422
    assert visitor.account.draft.due == "passengers"


def test_saved_travellers_fill_the_free_places():
    other = account.Passenger("Nils Berg", "DF654321")
    visitor = Visitor(account.World(travellers=(WHO, other)))
    visitor.post("/book", flights=cheapest().key, passengers="2", fare="Light")
    assert "Add Maria Silva" in visitor.text
    visitor.post("/book/passengers", add="t2", name1="", name2="")
    assert "Add Nils Berg" not in visitor.text and visitor.account.draft.passengers[0] == other
    typed = {"name1": other.name, "passport1": other.passport}
    twice = visitor.post("/book/passengers", **typed, name2="Nora Berg", passport2=other.passport, go="on")
    assert "same passport" in twice.text
    visitor.post("/book/passengers", **typed, name2=WHO.name, passport2=WHO.passport, go="on")
    assert visitor.account.draft.passengers == (other, WHO) and visitor.path == "/book/seats"


def test_a_taken_seat_is_refused():
    flown = cheapest()
    gone = next(iter(sorted(timetable.taken_seats(flown.service.number, DAY))))
    visitor = Visitor()
    visitor.post("/book", flights=flown.key, fare="Light")
    visitor.post("/book/passengers", name1=WHO.name, passport1=WHO.passport, go="on")
    for seat in (gone, "99Z", ""):
        assert "This seat is taken." in visitor.post("/book/seats", leg="0", who="0", seat=seat).text
    assert visitor.account.draft.seats == (("",),)


def test_a_return_goes_there_and_back():
    back = cheapest("Rome", "Lisbon", date(2026, 3, 20))
    asked = SEARCH | {"trip": "return", "back": "2026-03-20"}
    visitor = Visitor().get("/flights", **asked, out=cheapest().key, sort="price")
    assert "Rome to Lisbon" in visitor.text and back.key in visitor.raw
    both = f"{cheapest().key},{back.key}"
    visitor.post("/book", flights=both, fare="Flex")
    assert [leg.day for leg in visitor.account.draft.legs] == [DAY, date(2026, 3, 20)]
    for wrong in (f"{back.key},{cheapest().key}", f"{cheapest().key},{cheapest().key}", f"{both},{both}", "", "NV-1.2026-03-14", "x.y"):
        assert visitor.get("/fares", flights=wrong).status == 404


# --- trips -----------------------------------------------------------------------------------------------------------------


def test_a_change_costs_its_fee_and_the_difference():
    visitor, new = with_trip(fare="Standard"), max(timetable.flights("Lisbon", "Rome", date(2026, 3, 16)), key=lambda f: f.price)
    more = max(0, account.fare_price(new, "Standard") - account.fare_price(cheapest(), "Standard"))
    assert (
        f"+€{more}"
        in visitor.get("/trips/ABCDEF/change", date="2026-03-16", sort="price", page=2).text
        + visitor.get("/trips/ABCDEF/change", date="2026-03-16", sort="price").text
    )
    form = {"leg": "0", "flight": new.key}
    assert "Accept the change" in visitor.post("/trips/ABCDEF/change/confirm", **form).text
    visitor.post("/trips/ABCDEF/change/confirm", **form, accept="1")
    trip = visitor.state()["trips"]["ABCDEF"]
    assert trip["legs"] == [[new.service.number, "2026-03-16"]] and trip["total"] == 200 + 45 + more


def test_what_a_change_may_not_be():
    assert "Light fares cannot be changed" in with_trip(fare="Light").get("/trips/ABCDEF/change").text
    light = with_trip(fare="Light")
    form = {"leg": "0", "flight": cheapest(day=date(2026, 3, 16)).key, "accept": "1"}
    assert light.post("/trips/ABCDEF/change/confirm", **form).status == 404
    visitor = with_trip()
    assert visitor.post("/trips/ABCDEF/change/confirm", leg="0", flight=cheapest("Lisbon", "Oslo").key, accept="1").status == 404
    assert "in the past" in visitor.get("/trips/ABCDEF/change", date="2025-03-16").text
    assert visitor.state() == with_trip().state()


def test_cancellation_pays_by_the_rules_and_can_be_taken_back():
    visitor = with_trip(fare="Standard")
    assert "Choose where the refund goes." in visitor.post("/trips/ABCDEF/cancel", sure="1").text
    assert "Confirm that you want" in visitor.post("/trips/ABCDEF/cancel", refund="card").text
    visitor.post("/trips/ABCDEF/cancel", refund="credit", sure="1")
    trip = visitor.state()["trips"]["ABCDEF"]
    assert (trip["status"], trip["refunded"], visitor.account.credit) == ("cancelled", 140, 140)  # 60% and 10% of 200
    assert visitor.get("/trips/ABCDEF/change").status == 404
    visitor.post("/trips/ABCDEF/restore")
    assert visitor.state() == with_trip(fare="Standard").state()


def test_a_late_cancellation_brings_less_and_light_nothing_to_the_card():
    late = with_trip(day=date(2026, 1, 12))
    late.post("/trips/ABCDEF/cancel", refund="card", sure="1")
    assert late.state()["trips"]["ABCDEF"]["refunded"] == 50 and late.account.credit == 0
    light = with_trip(fare="Light")
    assert "not possible with this fare" in light.get("/trips/ABCDEF/cancel").text
    assert light.post("/trips/ABCDEF/cancel", refund="card", sure="1").status == 422
    assert light.state()["trips"]["ABCDEF"]["status"] == "upcoming"


def test_spent_credit_cannot_be_given_back():
    visitor = with_trip()
    visitor.post("/trips/ABCDEF/cancel", refund="credit", sure="1")
    visitor.account.credit = 0
    assert visitor.post("/trips/ABCDEF/restore").status == 404
    assert visitor.state()["trips"]["ABCDEF"]["status"] == "cancelled"


def test_seats_bags_and_passengers_of_a_trip():
    visitor = with_trip()
    seat = next(seat for seat in timetable.SEATS if visitor.account.free(booked().legs[0], seat))
    visitor.post("/trips/ABCDEF/seats", leg="0", who="0", seat=seat)
    visitor.post("/trips/ABCDEF/bags", bags1="3")
    visitor.post("/trips/ABCDEF/passengers", name1="Marta Silva", passport1="BC123457")
    trip = visitor.state()["trips"]["ABCDEF"]
    assert (trip["seats"], trip["bags"], trip["passengers"]) == ([[seat]], [3], [["Marta Silva", "BC123457"]])
    assert trip["total"] == 200 + 24 + 3 * 35 and timetable.zone_of(seat) == "front"
    assert visitor.post("/trips/ABCDEF/bags", bags1="4").status == 422
    assert visitor.post("/trips/ABCDEF/passengers", name1="", passport1="").status == 422
    assert visitor.state()["trips"]["ABCDEF"] == trip


def test_the_list_of_trips_has_tabs_and_a_search():
    trips = (booked(), replace(booked(), reference="CANCEL", status="cancelled"), replace(booked(), reference="FLOWNX", status="flown"))
    visitor = Visitor(account.World(trips=trips))
    for tab, reference in (("upcoming", "ABCDEF"), ("cancelled", "CANCEL"), ("flown", "FLOWNX")):
        shown = visitor.get("/trips", show=tab).text
        assert [other for other in ("ABCDEF", "CANCEL", "FLOWNX") if other in shown] == [reference]
    assert "ABCDEF" in visitor.get("/trips", q="silva rome").text and "No trips here." in visitor.get("/trips", q="oslo").text


# --- account ---------------------------------------------------------------------------------------------------------------


def test_alerts_travellers_and_preferences():
    visitor = Visitor()
    assert visitor.post("/account/alerts", origin="Lisbon", destination="Lisbon", below="x").status == 422
    visitor.post("/account/alerts", origin="Lisbon", destination="OSL", below="120")
    assert list(visitor.state()["alerts"].values()) == [["Lisbon", "Oslo", 120]]
    visitor.post("/account/alerts/n1/forget")
    assert visitor.post("/account/travellers", name="Ann", passport="BC1").status == 422
    visitor.post("/account/travellers", name="Ann Lee", passport="BC123456")
    assert visitor.post("/account", phone="none", seat="Aisle").status == 422
    visitor.post("/account", phone="612345678", seat="Aisle")
    state = visitor.state()
    assert (state["alerts"], list(state["travellers"].values())) == ({}, [["Ann Lee", "BC123456"]])
    assert state["preferences"] == ["612345678", "Aisle", False]


def test_the_rules_that_are_told_are_those_that_hold():
    rules = worlds.policy(random.Random(3))
    visitor = Visitor(account.World(trips=(booked(),), policy=rules))
    assert f"Standard: {rules.early['Standard']}% to the card if {rules.notice_days} days" in visitor.get("/help/cancellations").text
    assert f"€{rules.change['Standard']} for each passenger" in visitor.get("/help/changes").text
    assert f"An extra bag costs €{rules.bag}" in visitor.get("/help/baggage").text
    assert f"Front rows: €{rules.seat['front']}" in visitor.get("/help/seats").text


# --- the house -------------------------------------------------------------------------------------------------------------

PATHS = (
    "/", "/flights", "/fares", "/calendar", "/book", "/places", "/trips", "/account", "/account/travellers", "/account/alerts", "/help",
    *(f"/book/{step}" for step in ("passengers", "seats", "extras", "payment", "abandon", "nothing")),
    *(f"/trips/ABCDEF{rest}" for rest in ("", "/seats", "/bags", "/passengers", "/change", "/change/confirm", "/cancel", "/restore")),
    "/account/alerts/a1/forget", "/account/travellers/t1/forget", "/help/changes", "/help/nothing", "/trips/NOSUCH", "/nowhere",
)  # fmt: skip
NAMES = (
    "origin", "destination", "depart", "back", "trip", "passengers", "sort", "page", "out", "flights", "fare", "month", "leg", "who",
    "zone", "seat", "flight", "date", "bags1", "name1", "passport1", "add", "go", "way", "terms", "refund", "sure", "below", "phone",
)  # fmt: skip
JUNK = (
    "", "0", "1", "-1", "99999999999", "Lisbon", "Rome", "2026-03-14", "2026-13-99", "<b>", "ß", "return", "price", "front", "1A", "on",
    "Light", "NV-100.2026-03-14", "SO-٣.2026-03-14", "t1", "credit", "Travel credit", "x" * 500, "\x00", "a.b,c.d", "²",
)  # fmt: skip


def test_nothing_that_is_sent_breaks_the_site():
    """A site that raises ends the episode as a fault."""
    rng = random.Random(0)
    world = worlds.world(rng, [booked()], [WHO])
    visitor = Visitor(world)
    for number in range(1500):
        if number % 100 == 0:
            visitor, _ = at_payment(world)
        fields = {name: rng.choice(JUNK) for name in rng.sample(NAMES, rng.randrange(6))}
        path = rng.choice(PATHS)
        visitor.get(path, **fields) if rng.random() < 0.5 else visitor.post(path, **fields)
        assert visitor.status in (200, 404, 405, 422), (path, fields)
        SITE.snapshot(visitor.account)


def test_pages_tell_nothing_that_the_customer_should_not_see():
    visitor = with_trip()
    for path in PATHS:
        visitor.get(path)
        assert "webgym" not in visitor.raw.lower() and "http:" not in visitor.raw and "//" not in visitor.raw
    for path in ("/state", "/state.json", "/reset", "/__state", "/static/../site.py", "/static/../pack.toml"):
        assert visitor.get(path).status == 404


def test_episodes_share_the_catalogue_and_nothing_else():
    world = worlds.world(random.Random(1), [booked()], [WHO])
    one, other = Visitor(world), Visitor(world)
    before = other.state()
    assert one.account.trips["ABCDEF"] is world.trips[[t.reference for t in world.trips].index("ABCDEF")]
    one.post("/trips/ABCDEF/cancel", refund="card", sure="1")
    one.post("/account/travellers/t1/forget")
    assert other.state() == before == Visitor(world).state() != one.state()


def test_the_catalogue_is_the_same_in_every_process():
    program = (
        "import sys; from datetime import date; from webgym.packs import registry; from webgym.types import digest;"
        "registry.task('travel.rebook');"
        "t = sys.modules['webgym_tasks.travel.timetable']; f = t.flights('Lisbon', 'Rome', date(2026, 3, 14));"
        "print(digest([[x.key, x.price, x.service.departs, x.service.stops, sorted(t.taken_seats(x.service.number, x.day))] for x in f]))"
    )
    runs = [
        subprocess.run([sys.executable, "-c", program], cwd=ROOT, env={"PYTHONHASHSEED": seed, "PATH": ""}, capture_output=True, check=True)
        for seed in ("1", "2")
    ]
    assert runs[0].stdout == runs[1].stdout and len(runs[0].stdout) == 33


def test_the_timetable_holds_what_errands_rely_on():
    for origin, destination in itertools.islice(itertools.permutations([c.name for c in worlds.CITIES], 2), 0, None, 37):
        for day in (DAY, date(2026, 7, 2)):
            flights = timetable.flights(origin, destination, day)
            for what in (lambda f: f.price, lambda f: f.service.lasts, lambda f: f.service.leaves, lambda f: f.service.number):
                assert len({what(f) for f in flights}) == len(flights)
            for f in flights:
                assert timetable.read_flight(f.key) == f and timetable.service(f.service.number) is f.service
                assert f.service.lasts > 0 and any(seat not in timetable.taken_seats(f.service.number, day) for seat in timetable.SEATS)
