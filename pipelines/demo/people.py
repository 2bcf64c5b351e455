"""The made-up traders: names, contacts, papers, devices, addresses on the net and ways to pay."""

import unicodedata
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

import numpy as np

from pipelines.demo.market import DAY_MS


@dataclass(frozen=True)
class Country:
    """Where people live and how they are called there: surnames are stem and ending."""

    code: str
    weight: float
    prefix: str
    desk: str
    network: int
    firsts: tuple[str, ...]
    stems: tuple[str, ...]
    endings: tuple[str, ...]
    streets: tuple[str, ...]
    cities: tuple[str, ...]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


COUNTRIES: tuple[Country, ...] = (
    Country(
        "CZ", 1.3, "+420", "prague", 78,
        _words("Jan Petr Tomáš Jiří Martin Jakub Lukáš Ondřej David Marek Filip Vojtěch Adam Daniel Lucie Tereza Eva Jana"),
        _words("Novot Dvoř Kučer Procház Svobod Horá Němeč Pokorn Mare Hájek Král Růžič Beneš Fial Sedlá Doležal Zeman Kolář"),
        _words("ák ek ka a ček ný ík"),
        _words("Dlouhá Nádražní Husova Lipová Školní Polní"), _words("Praha Brno Ostrava Plzeň Olomouc"),
    ),
    Country(
        "GB", 1.2, "+44", "london", 81,
        _words("James Oliver Harry George Jack Thomas William Daniel Samuel Adam Amelia Emily Sophie Grace Lucy Hannah Liam"),
        _words("Har Wal Rob Thorn Whit Bark Green Hath Ash Brad Cart Dal Elling Fair Gold Hol Lang Mil Nor Pres Rad Shel"),
        _words("ton ley son worth ford field well er"),
        ("High Street", "Station Road", "Church Lane", "Park Avenue", "Mill Road"), _words("London Leeds Bristol Leicester Cardiff"),
    ),
    Country(
        "DE", 1.1, "+49", "prague", 84,
        _words("Lukas Leon Finn Jonas Paul Felix Max Moritz Jan Tim Lena Anna Laura Julia Katharina Sebastian Jürgen Björn"),
        _words("Müll Schnei Hoff Web Kais Lang Krau Berg Stein Vog Zimmer Baum Hart Kell Roth Schäf Wint Lind Köh Brand"),
        _words("er der mann mayer ler hofer es"),
        ("Hauptstraße", "Bahnhofstraße", "Gartenweg", "Schulstraße"), _words("Berlin Hamburg München Köln Leipzig"),
    ),
    Country(
        "US", 1.4, "+1", "new_york", 73,
        _words("Michael Christopher Matthew Joshua Andrew Tyler Brandon Justin Kevin Jose Ashley Jessica Sarah Megan Carlos Luis"),
        _words("Ander Pet Jack Rich David Wil Stev Harri Mor Coop Lam Sand Rob Gar Mart Good Bent Cald Drum Ellis Fost"),
        _words("son erson man ey ton well ins"),
        ("Oak Street", "Maple Avenue", "2nd Street", "Washington Blvd", "Lake Drive"), _words("Austin Tampa Denver Chicago Phoenix"),
    ),
    Country(
        "NG", 1.0, "+234", "london", 102,
        _words("Chinedu Emeka Oluwaseun Tunde Ibrahim Musa Ifeanyi Kelechi Ngozi Amaka Yusuf Segun Babatunde Chukwuemeka Uche"),
        _words("Ade Oko Olu Nwa Eze Ogun Aki Ola Balo Chuk Obi Ony Afo Ibe Ume Ike"),
        _words("bayo ro wole chukwu ma nkwo tola deji gun ka yemi"),
        ("Allen Avenue", "Awolowo Road", "Broad Street", "Market Road"), _words("Lagos Abuja Ibadan Enugu"),
    ),
    Country(
        "IN", 1.2, "+91", "london", 49,
        _words("Rahul Amit Vikram Arjun Rohan Sanjay Suresh Anil Priya Neha Anjali Deepak Karthik Manish Nikhil Pooja Ravi"),
        _words("Sha Gup Pat Ver Mish Red Nai Iy Kul Chau Mal Sin Agar Ban Das Jo Meh Rao Tri Bhat"),
        _words("rma ta el ma ra dy r karni dhary hotra gh wal shi"),
        ("MG Road", "Nehru Street", "Station Road", "Gandhi Nagar"), _words("Mumbai Pune Chennai Delhi Jaipur"),
    ),
    Country(
        "UA", 0.7, "+380", "prague", 91,
        _words("Oleksandr Dmytro Andriy Serhiy Yuriy Maksym Bohdan Taras Ivan Oleh Olena Iryna Kateryna Yuliia Natalia Viktor"),
        _words("Shev Kov Bond Tka Krav Oli Pol Lys Mar Sav Rud Pav Petr Hon Bil Mor Zakhar"),
        _words("chenko alenko arenko chuk yuk ynyk enko ytskyi"),
        _words("Khreshchatyk Shevchenka Franka Lesi"), _words("Kyiv Lviv Odesa Dnipro Kharkiv"),
    ),
    Country(
        "ES", 0.8, "+34", "prague", 88,
        _words("Alejandro Daniel Pablo Álvaro Adrián David Javier Sergio Hugo Lucía María Paula Sara Carmen Iván Rubén"),
        _words("Gonzál Rodrígu Fernánd Martín Sánch Pér Lóp Góm Jimén Ruíz Hernánd Dí Álvar Mor Muñ Ram Vázqu Domíngu"),
        _words("ez eno oz os iz ero al"),
        ("Calle Mayor", "Calle Real", "Avenida del Sol", "Plaza Nueva"), _words("Madrid Sevilla Valencia Málaga Bilbao"),
    ),
    Country(
        "BR", 0.8, "+55", "new_york", 177,
        _words("João Pedro Lucas Gabriel Matheus Rafael Gustavo Felipe Bruno Ana Beatriz Juliana Camila Larissa Thiago Vinícius"),
        _words("Sil San Oliv Sou Fer Alm Cost Per Rib Mart Carv Gom Lim Barb Mour Card Teix"),
        _words("va tos eira za reira eida a eiro ins alho es osa oso"),
        ("Rua das Flores", "Avenida Brasil", "Rua XV", "Rua Bahia"), ("São Paulo", "Rio de Janeiro", "Curitiba", "Recife"),
    ),
    Country(
        "FR", 0.9, "+33", "prague", 90,
        _words("Lucas Hugo Louis Nathan Gabriel Jules Arthur Mathis Théo Camille Léa Manon Chloé Inès Romain Guillaume François"),
        _words("Mart Bern Dub Rous Mor Laur Girard Lef Gar Chev Mol Fourn Per Dup Lamb Font Rob Bon"),
        _words("in ard ois sel eau ent ier eret nier ot et"),
        ("Rue de la Paix", "Rue Victor Hugo", "Avenue Foch", "Rue des Lilas"), _words("Paris Lyon Toulouse Nantes Lille"),
    ),
    Country(
        "JP", 0.35, "+81", "tokyo", 126,
        _words("Haruto Sota Yuto Hiroshi Kenji Takashi Ren Daiki Yuki Sakura Aoi Hana Misaki Kaito Ryo Shota"),
        _words("Yama Taka Naka Mura Koba Saka Ishi Hashi Mori Oka Fuji Matsu Kimu Shimi Ino Kato Ueno"),
        _words("moto hashi mura ta yashi gawa da shita no ra"),
        ("Sakura-dori", "Chuo 2-chome", "Honmachi", "Midori-cho"), _words("Tokyo Osaka Nagoya Fukuoka"),
    ),
    Country(
        "PK", 0.7, "+92", "london", 39,
        _words("Muhammad Ahmed Ali Hassan Usman Bilal Hamza Zain Ayesha Fatima Sana Omar Imran Faisal Tariq Kashif"),
        _words("Kha Mal Ahm Qure Siddi Chau Bu Sha Raj Hus Iqb Aw Mir Sheik Far Jav"),
        _words("n ik ed shi qui dhry tt h put sain al an za h ooqi ed"),
        ("Mall Road", "Jinnah Avenue", "Model Town", "Gulshan Block"), _words("Karachi Lahore Islamabad Multan"),
    ),
)  # fmt: skip
BY_CODE = {country.code: country for country in COUNTRIES}
MAIL = ("gmail.com", "gmail.com", "gmail.com", "outlook.com", "yahoo.com", "proton.me", "icloud.com", "mail.example")
FIRST_KYC_MS = 2 * DAY_MS


@dataclass(frozen=True)
class Hands:
    """Who sits at the keyboard: device, the addresses it is seen at, the country they geolocate to."""

    device: str
    ips: tuple[str, ...]
    country: str


@dataclass(frozen=True)
class Person:
    """One trader record of the firm with what belongs to it."""

    trader_id: str
    first: str
    last: str
    email: str
    phone: str
    born: date
    country: str
    address: str
    document: str
    kyc: str
    kyc_country: str
    kyc_after_funding: bool
    registered_ms: int
    desk: str
    hands: tuple[Hands, ...]
    instruments: tuple[str, ...]
    destination: str
    method: str
    tags: tuple[str, ...] = field(default=())

    @property
    def name(self) -> str:
        """First name and surname."""
        return f"{self.first} {self.last}"


def plain(text: str) -> str:
    """Text in plain Latin letters, lower case."""
    spelled = text.replace("ß", "ss").replace("ł", "l").replace("ø", "o")
    return unicodedata.normalize("NFKD", spelled).encode("ascii", "ignore").decode().lower()


def token(rng: np.random.Generator, prefix: str, size: int = 8) -> str:
    """A made-up fingerprint."""
    return prefix + rng.bytes(size).hex()


def home_ip(rng: np.random.Generator, country: Country) -> str:
    """A residential address in a country's network."""
    return f"{country.network}.{rng.integers(0, 200)}.{rng.integers(0, 256)}.{rng.integers(2, 255)}"


def mobile_ip(rng: np.random.Generator, country: Country) -> str:
    """One of the few exits behind which a country's mobile carrier hides its subscribers."""
    return f"{country.network}.250.0.{rng.integers(1, 9)}"


def vpn_ip(rng: np.random.Generator) -> str:
    """One of the exits of a popular VPN."""
    return f"185.93.2.{rng.integers(10, 26)}"


def make_person(rng: np.random.Generator, trader_id: str, registered_ms: int, country: Country | None = None) -> Person:
    """A trader with everything of their own."""
    weights = np.array([one.weight for one in COUNTRIES])
    land = country or COUNTRIES[int(rng.choice(len(COUNTRIES), p=weights / weights.sum()))]
    first, last = str(rng.choice(land.firsts)), str(rng.choice(land.stems)) + str(rng.choice(land.endings))
    ips = [home_ip(rng, land)]
    if rng.random() < 0.45:
        ips.append(mobile_ip(rng, land))
    if rng.random() < 0.07:
        ips.append(vpn_ip(rng))
    devices = [token(rng, "dev_")] + ([token(rng, "dev_")] if rng.random() < 0.3 else [])
    instruments = [token(rng, "card_", 6)] + ([token(rng, "card_", 6)] if rng.random() < 0.15 else [])
    method = str(rng.choice(("bank", "crypto", "rise", "wise"), p=(0.3, 0.4, 0.2, 0.1)))
    return Person(
        trader_id=trader_id,
        first=first,
        last=last,
        email=mail_address(rng, first, last),
        phone=f"{land.prefix} {rng.integers(600, 999)} {rng.integers(100, 999)} {rng.integers(100, 999)}",
        born=date(1962, 1, 1) + timedelta(days=int(rng.beta(4, 2.2) * 16_000)),
        country=land.code,
        address=f"{rng.choice(land.streets)} {rng.integers(1, 180)}, {rng.integers(10000, 99999)} {rng.choice(land.cities)}",
        document=token(rng, "doc_"),
        kyc=str(rng.choice(("verified", "pending", "rejected", "expired"), p=(0.94, 0.03, 0.02, 0.01))),
        kyc_country=land.code,
        kyc_after_funding=bool(rng.random() < 0.5),
        registered_ms=registered_ms,
        desk=land.desk,
        hands=tuple(Hands(device, tuple(ips), land.code) for device in devices),
        instruments=tuple(instruments),
        destination=token(rng, f"{method}_", 8),
        method=method,
    )


def mail_address(rng: np.random.Generator, first: str, last: str) -> str:
    """An e-mail address made of a name."""
    name, family = plain(first), plain(last)
    forms = (f"{name}.{family}", f"{name}{family}", f"{name[0]}{family}", f"{family}.{name}")
    number = "" if rng.random() < 0.2 else str(rng.integers(1, 9999))
    return f"{forms[int(rng.integers(len(forms)))]}{number}@{MAIL[int(rng.integers(len(MAIL)))]}"


def alias(rng: np.random.Generator, email: str) -> str:
    """The same mailbox written otherwise: dots or a tag where the provider ignores them."""
    local, _, domain = email.partition("@")
    if domain == "gmail.com" and rng.random() < 0.5:
        local = local.replace(".", "")
        cut = int(rng.integers(1, len(local)))
        return f"{local[:cut]}.{local[cut:]}@{'googlemail.com' if rng.random() < 0.4 else domain}"
    return f"{local}+{rng.choice(('fx', 'prop', 'two', 'acc2'))}@{domain}"


def name_variant(rng: np.random.Generator, first: str, last: str) -> tuple[str, str]:
    """The same name written otherwise: without accents, swapped, transliterated or with a slip."""
    way = int(rng.integers(4))
    if way == 0:
        return plain(first).title(), plain(last).title()
    if way == 1:
        return last, first
    if way == 2:
        swaps = (
            ("Oleks", "Aleks"),
            ("yi", "ii"),
            ("ch", "tch"),
            ("ü", "ue"),
            ("ö", "oe"),
            ("ck", "k"),
            ("j", "y"),
            ("ou", "u"),
        )
        for old, new in swaps:
            if old in first or old in last:
                return first.replace(old, new), last.replace(old, new)
        return plain(first).title(), last
    cut = int(rng.integers(1, len(last) - 1))
    return first, last[:cut] + last[cut + 1] + last[cut] + last[cut + 2 :]


LINKS = ("device", "instrument", "destination", "document", "name", "email", "phone", "address")


def another_self(rng: np.random.Generator, first: Person, second: Person) -> tuple[Person, tuple[str, ...]]:
    """A second trader record of the same human: some traits shared, the others changed, and which were shared."""
    ways = tuple(sorted(str(one) for one in rng.choice(LINKS, size=int(rng.integers(2, 5)), replace=False)))
    if not set(ways) & {"device", "instrument", "destination", "document"}:
        ways = tuple(sorted({*ways, str(rng.choice(("device", "instrument", "destination", "document")))}))
    same = replace(
        second, desk=first.desk, country=first.country, kyc_country=first.country, hands=_hands(first, second, ways)
    )
    if "name" in ways or "document" in ways:
        given, family = name_variant(rng, first.first, first.last)
        same = replace(same, first=given, last=family, born=first.born)
    if "instrument" in ways:
        same = replace(same, instruments=(first.instruments[0], *second.instruments[1:]))
    if "destination" in ways:
        same = replace(same, destination=first.destination, method=first.method)
    if "document" in ways:
        same = replace(same, document=first.document)
    if "email" in ways:
        same = replace(same, email=alias(rng, first.email))
    if "phone" in ways:
        same = replace(same, phone=first.phone.replace(" ", ""))
    if "address" in ways:
        same = replace(same, address=plain(first.address).title())
    return same, ways


def _hands(first: Person, second: Person, ways: tuple[str, ...]) -> tuple[Hands, ...]:
    """The hands of a second record: another device at the same home, and the same device where that is shared."""
    home = tuple(
        replace(one, ips=(*second.hands[0].ips, first.hands[0].ips[0]), country=first.country) for one in second.hands
    )
    if "device" not in ways:
        return home
    return (*home, replace(first.hands[0], ips=home[0].ips))


def relative(rng: np.random.Generator, first: Person, second: Person) -> Person:
    """Another member of the household: same surname, address and line, an own birth date, papers and money."""
    land = BY_CODE[first.country]
    given = str(rng.choice([one for one in land.firsts if one != first.first]))
    hands = tuple(replace(one, ips=first.hands[0].ips, country=first.country) for one in second.hands)
    shared = (*hands, first.hands[0]) if rng.random() < 0.3 else hands
    return replace(
        second, first=given, last=first.last, email=mail_address(rng, given, first.last), address=first.address,
        country=first.country, kyc_country=first.country, desk=first.desk, hands=shared,
        instruments=(first.instruments[0], *second.instruments) if rng.random() < 0.3 else second.instruments,
    )  # fmt: skip


def namesake(rng: np.random.Generator, first: Person, second: Person) -> Person:
    """A stranger of the same name, born on another day."""
    return replace(
        second, first=first.first, last=first.last, email=mail_address(rng, first.first, first.last),
        country=first.country, kyc_country=first.country, desk=first.desk,
        hands=tuple(replace(one, country=first.country) for one in second.hands),
    )  # fmt: skip
