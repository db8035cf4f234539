//! The lists that people, places and cars are drawn from. Nobody in them exists: first and last
//! names are paired by chance, telephone numbers lie in the range kept for fiction (555-0100 to
//! 555-0199), and cities, plates and makers' codes are made up.

/// First names of women and girls.
#[rustfmt::skip]
pub(crate) const WOMEN: &[&str] = &[
    "Abigail", "Adaeze", "Aiko", "Alba", "Alma", "Amara", "Amina", "Anneliese", "Anouk", "Aroha",
    "Beatriz", "Bernadette", "Blessing", "Brigid", "Camila", "Candace", "Carys", "Catalina",
    "Chiamaka", "Clementine", "Corazon", "Dalia", "Daphne", "Delphine", "Edda", "Eileen", "Elif",
    "Elspeth", "Esperanza", "Eun-ji", "Fatima", "Flora", "Freya", "Georgia", "Giulia", "Graciela",
    "Guadalupe", "Halima", "Hanna", "Harriet", "Ifeoma", "Imogen", "Ingrid", "Iolana", "Itzel",
    "Jacinta", "Jasmin", "Josefina", "Juniper", "Kalinda", "Karin", "Katarzyna", "Keiko", "Lakshmi",
    "Leilani", "Liesl", "Lourdes", "Lucinda", "Mahalia", "Maeve", "Magdalena", "Mairead", "Marisol",
    "Mei", "Meredith", "Mirela", "Nadia", "Naledi", "Nayeli", "Neve", "Niamh", "Noor", "Odalys",
    "Oksana", "Olabisi", "Ottilie", "Paloma", "Parisa", "Petra", "Philippa", "Priya", "Quilla",
    "Rania", "Renata", "Rosalind", "Roxana", "Sabine", "Safiya", "Saoirse", "Selam", "Shanice",
    "Signe", "Soledad", "Sunniva", "Tamsin", "Thandiwe", "Thuy", "Tova", "Ursula", "Valentina",
    "Verity", "Wilhelmina", "Ximena", "Yara", "Yesenia", "Yuki", "Zainab", "Zora",
];

/// First names of men and boys.
#[rustfmt::skip]
pub(crate) const MEN: &[&str] = &[
    "Abdi", "Adebayo", "Alaric", "Alfonso", "Amadou", "Ambrose", "Anders", "Andrei", "Ansel",
    "Arjun", "Augustin", "Bao", "Barnaby", "Bashir", "Benedict", "Bertrand", "Bjorn", "Caleb",
    "Callum", "Casimir", "Chidi", "Cormac", "Cyrus", "Dacian", "Darnell", "Demetrius", "Desmond",
    "Dieter", "Diego", "Dominic", "Eamon", "Eduardo", "Elias", "Emeka", "Enrique", "Everett",
    "Farid", "Felix", "Fergus", "Florian", "Gareth", "Giancarlo", "Gideon", "Goran", "Hamish",
    "Hassan", "Hector", "Hiroshi", "Horace", "Ibrahim", "Ignacio", "Isaiah", "Ivo", "Jamal",
    "Jarek", "Joaquin", "Jomo", "Kamal", "Kareem", "Kenji", "Kofi", "Lachlan", "Lamar", "Leandro",
    "Leopold", "Linus", "Lorenzo", "Luther", "Malik", "Marcellus", "Mateo", "Minh", "Moses",
    "Nasir", "Nikolai", "Obinna", "Octavio", "Omar", "Orlando", "Osei", "Otis", "Padraig",
    "Percival", "Quentin", "Rafael", "Rajesh", "Ramon", "Reuben", "Rupert", "Salvatore", "Santiago",
    "Sebastian", "Seung-ho", "Silas", "Stellan", "Sven", "Tariq", "Tavita", "Thaddeus", "Tobias",
    "Tomasz", "Ulrich", "Usman", "Vasily", "Vernon", "Viktor", "Waldo", "Wendell", "Winston",
    "Xavier", "Yosef", "Yusuf", "Zoltan",
];

/// First names that go with any sex.
#[rustfmt::skip]
pub(crate) const ANYONE: &[&str] = &[
    "Alexis", "Ariel", "Avery", "Briar", "Cameron", "Casey", "Dakota", "Dana", "Devon", "Ellis",
    "Emery", "Frankie", "Harper", "Indigo", "Jules", "Kai", "Kendall", "Lane", "Marlowe", "Micah",
    "Morgan", "Nico", "Oakley", "Parker", "Quinn", "Reese", "Remy", "Riley", "River", "Robin",
    "Rowan", "Sage", "Sasha", "Shiloh", "Skyler", "Sloane", "Tatum", "Toby", "Wren",
];

/// Last names.
#[rustfmt::skip]
pub(crate) const LAST_NAMES: &[&str] = &[
    "Abara", "Abernathy", "Achterberg", "Adeyemi", "Aguinaldo", "Alcantara", "Almquist", "Amsel",
    "Anaya", "Ansbach", "Arbogast", "Arceneaux", "Ardmore", "Arrowood", "Ashgrove", "Asante",
    "Aviles", "Ayalew", "Babatunde", "Bachmeier", "Balakrishnan", "Ballantyne", "Banerjee",
    "Barragan", "Bartholdi", "Bastide", "Bayliss", "Beaudreau", "Begaye", "Belmonte", "Benavides",
    "Bergstrom", "Birdsong", "Blackmarsh", "Blessington", "Boateng", "Bonaventure", "Bracamonte",
    "Brandvold", "Brannigan", "Brightwater", "Brockhurst", "Bukowski", "Burgoyne", "Caballero",
    "Calderwood", "Callahan", "Canterbury", "Carrizales", "Castellano", "Cavanaugh", "Cerveny",
    "Chakraborty", "Chamberlain", "Chaudhry", "Chavarria", "Cheng", "Chukwu", "Clearwater",
    "Coldiron", "Comeaux", "Copperfield", "Cortazar", "Crabtree", "Crosswhite", "Cuthbert",
    "Dagenhart", "Dalrymple", "Danquah", "Darkwood", "Davenport", "Deerfield", "Delacroix",
    "Demirci", "Desjardins", "Diallo", "Dingwall", "Dombrowski", "Donnelly", "Dragomir", "Drummond",
    "Dubois", "Dunleavy", "Eastman", "Echeverria", "Edelstein", "Ekwueme", "Elderkin", "Ellsworth",
    "Emberly", "Engstrom", "Escamilla", "Espinoza", "Etcheverry", "Everhart", "Fairweather",
    "Falkenrath", "Farnsworth", "Fenwick", "Ferreira", "Fitzgibbon", "Fjelstad", "Fontaine",
    "Forsythe", "Fothergill", "Frankowski", "Friedland", "Fujimoto", "Gallagher", "Galvan",
    "Garrison-Lund", "Gebremariam", "Gentry", "Ghorbani", "Gillespie", "Goldwater", "Gorczyca",
    "Grantham", "Greenleaf", "Grimaldi", "Guerrero", "Gundersen", "Guzman", "Haddad", "Halvorsen",
    "Hammersmith", "Harrowgate", "Hartwell", "Hashimoto", "Hathaway", "Hazelwood", "Heatherton",
    "Hennessey", "Hernandez", "Herzog", "Hidalgo", "Hinojosa", "Holloway", "Honeycutt", "Horvath",
    "Hotchkiss", "Huang", "Huckabee", "Ibarra", "Idowu", "Ingersoll", "Inoue", "Iverson",
    "Jablonski", "Jaramillo", "Jefferson", "Jernigan", "Johannsen", "Jorgensen", "Kaczmarek",
    "Kalani", "Kamara", "Karimi", "Kavanagh", "Keawe", "Kellerman", "Kessler", "Kilbride",
    "Kimathi", "Kirkpatrick", "Kobayashi", "Kowalczyk", "Krishnan", "Kuznetsov", "Laframboise",
    "Lagerquist", "Lancaster", "Landgraf", "Langstroth", "Larkspur", "Laveau", "Ledbetter",
    "Lemaire", "Lightfoot", "Lindholm", "Littlefield", "Lockhart", "Longacre", "Lovelace",
    "Lundgren", "Mabry", "Macallister", "Madrigal", "Mahoney", "Makinde", "Maldonado", "Manyara",
    "Marchetti", "Marrow", "Mbeki", "Mcallen", "Medrano", "Mendelsohn", "Merriweather",
    "Middlebrook", "Mikkelsen", "Moonan", "Montoya", "Morningstar", "Mukherjee", "Mulholland",
    "Murakami", "Nakamura", "Narayanan", "Navarro", "Ndiaye", "Nightingale", "Nordstrom", "Novotny",
    "Nwosu", "Oakhurst", "Obregon", "Odegaard", "Ogunleye", "Okafor", "Okonkwo", "Oldfield",
    "Olsson", "Onyango", "Orellana", "Ostrowski", "Oyelaran", "Pacheco", "Palmquist", "Papadakis",
    "Partridge", "Patel", "Pemberton", "Pendergast", "Peralta", "Petrosyan", "Pettibone", "Pham",
    "Pickering", "Poindexter", "Popescu", "Prendergast", "Quackenbush", "Quesada", "Quillen",
    "Quintero", "Rademacher", "Rainwater", "Ramanujan", "Ravenscroft", "Reinholt", "Restrepo",
    "Rhodes", "Riverstone", "Robichaux", "Rockwell", "Rosenthal", "Rutherford", "Saarinen",
    "Saavedra", "Salazar", "Sanderling", "Santangelo", "Sapienza", "Scarborough", "Schoonover",
    "Sedgwick", "Selassie", "Severin", "Shadowen", "Shapiro", "Silverhorn", "Sinclair", "Skarsgard",
    "Slaughterbeck", "Sorensen", "Stackpole", "Standingbear", "Steinbrook", "Stormont",
    "Strickland", "Sundaram", "Svoboda", "Swiftwater", "Szymanski", "Takahashi", "Tallmadge",
    "Tamayo", "Tennyson", "Teixeira", "Thackeray", "Thistlewood", "Thornbury", "Tillman",
    "Toivonen", "Torvald", "Tran", "Trujillo", "Tsosie", "Tuttle", "Udall", "Ullman", "Underhill",
    "Urquhart", "Vaipulu", "Valdivia", "Vandermeer", "Vasquez", "Venkataraman", "Villanueva",
    "Voss", "Wachowski", "Wadsworth", "Wakefield", "Walkingstick", "Warsame", "Weatherby",
    "Wellspring", "Westergaard", "Whitcomb", "Wickersham", "Wildermuth", "Winterbourne",
    "Woodhouse", "Wren-Hale", "Wyndham", "Xiong", "Yamamoto", "Yarborough", "Yazzie", "Yeboah",
    "Yellowhair", "Youngblood", "Zaragoza", "Zelaya", "Zhang", "Zielinski", "Zimmerman", "Zubiri",
];

/// Streets, without their kind.
#[rustfmt::skip]
pub(crate) const STREETS: &[&str] = &[
    "Alder", "Antelope", "Ashgrove", "Bellwether", "Birch", "Bluestem", "Bridge", "Canal",
    "Cannery", "Cedar", "Chestnut", "Church", "Clover", "Commerce", "Cottonwood", "Depot",
    "Dogwood", "Elevator", "Elm", "Fairground", "Ferry", "Foundry", "Fulton", "Garnet", "Grain",
    "Granite", "Hackberry", "Harbor", "Harvest", "Hawthorn", "Hickory", "Ironwood", "Jasper",
    "Juniper", "Kestrel", "Larch", "Laurel", "Levee", "Linden", "Locust", "Magnolia", "Maple",
    "Meadowlark", "Mill", "Mulberry", "Nutwood", "Oakhurst", "Orchard", "Osage", "Packet",
    "Pelican", "Pioneer", "Plover", "Poplar", "Prairie", "Quarry", "Railroad", "Redbud", "River",
    "Rosewood", "Sandbar", "School", "Sheridan", "Spruce", "Station", "Sumac", "Sycamore",
    "Tallgrass", "Tannery", "Teal", "Thistle", "Union", "Valley", "Wagon", "Walnut", "Warehouse",
    "Waterworks", "Willow", "Wren", "Yarrow",
];

/// Kinds of street.
pub(crate) const WAYS: &[&str] =
    &["Street", "Street", "Street", "Avenue", "Avenue", "Road", "Lane", "Drive", "Court", "Way"];

/// Cities of the county around Riverton, the seat first and most often.
#[rustfmt::skip]
pub(crate) const RIVERTON_CITIES: &[&str] = &[
    "Riverton", "Riverton", "Riverton", "Riverton", "Riverton", "Riverton", "Millbrook", "Ashgrove",
    "Fort Talley", "Prairie Bend", "Elm Hollow", "Harlan Mills", "Copper Ferry",
];

/// Cities of Lakeside County.
#[rustfmt::skip]
pub(crate) const LAKESIDE_CITIES: &[&str] = &[
    "Lakeside", "Lakeside", "Lakeside", "Pelican Point", "Two Docks", "Heron Bay", "Sandbar City",
    "North Landing",
];

/// The home state on plates. The agencies' state is made up, but forms offer those that exist.
pub(crate) const HOME_STATE: &str = "NE";

/// States that cars come from when not from here.
pub(crate) const OTHER_STATES: &[&str] =
    &["IA", "KS", "MO", "CO", "SD", "WY", "MN", "IL", "NM", "OK", "TX", "CA"];

/// Makes with the world maker identifier that opens our made-up VINs, and their models.
pub(crate) const MAKES: &[(&str, &str, &[&str])] = &[
    ("Ford", "1FZ", &["F-150", "Focus", "Fusion", "Escape", "Explorer", "Transit", "Ranger"]),
    ("Chevrolet", "1GZ", &["Silverado", "Malibu", "Equinox", "Impala", "Tahoe", "Cruze"]),
    ("Toyota", "4TZ", &["Camry", "Corolla", "RAV4", "Tacoma", "Highlander", "Prius", "Sienna"]),
    ("Honda", "1HZ", &["Civic", "Accord", "CR-V", "Pilot", "Odyssey", "Fit"]),
    ("Nissan", "1NZ", &["Altima", "Rogue", "Sentra", "Frontier", "Versa"]),
    ("Jeep", "1JZ", &["Cherokee", "Wrangler", "Compass", "Patriot"]),
    ("Ram", "1RZ", &["1500", "2500", "ProMaster"]),
    ("Dodge", "2DZ", &["Charger", "Durango", "Grand Caravan", "Journey"]),
    ("GMC", "1GY", &["Sierra", "Terrain", "Acadia", "Yukon"]),
    ("Hyundai", "5NZ", &["Elantra", "Sonata", "Tucson", "Santa Fe"]),
    ("Kia", "5KZ", &["Optima", "Soul", "Sorento", "Forte", "Sportage"]),
    ("Subaru", "4SZ", &["Outback", "Forester", "Crosstrek", "Impreza"]),
    ("Volkswagen", "3VZ", &["Jetta", "Passat", "Golf", "Tiguan"]),
    ("Buick", "2BZ", &["Enclave", "LaCrosse", "Encore"]),
    ("Mazda", "3MZ", &["CX-5", "Mazda3", "Mazda6"]),
    ("Chrysler", "2CZ", &["Pacifica", "300", "Town & Country"]),
];

/// Colours as a registration gives them.
#[rustfmt::skip]
pub(crate) const COLOURS: &[&str] = &[
    "white", "white", "black", "black", "gray", "gray", "silver", "silver", "blue", "red", "red",
    "green", "brown", "gold", "maroon", "tan",
];

/// Patrol officers of Riverton.
#[rustfmt::skip]
pub(crate) const RIVERTON_OFFICERS: &[&str] = &[
    "Ofc. T. Brandvold", "Ofc. L. Nwosu", "Ofc. D. Pettibone", "Ofc. S. Kaczmarek",
    "Ofc. A. Birdsong", "Ofc. R. Tamayo", "Ofc. J. Whitcomb", "Ofc. P. Venkataraman",
    "Ofc. C. Dunleavy", "Ofc. N. Hale", "Ofc. B. Yazzie", "Ofc. K. Lundgren", "Ofc. M. Asante",
    "Ofc. G. Hidalgo",
];

/// Detectives and sergeants of Riverton who lead cases.
#[rustfmt::skip]
pub(crate) const RIVERTON_LEADS: &[&str] = &[
    "Det. M. Ruiz", "Det. M. Ruiz", "Det. H. Fjelstad", "Det. O. Merriweather", "Det. Y. Inoue",
    "Det. F. Carrizales", "Sgt. I. Okafor", "Sgt. W. Stackpole",
];

/// Deputies of Lakeside.
#[rustfmt::skip]
pub(crate) const LAKESIDE_OFFICERS: &[&str] = &[
    "Dep. E. Toivonen", "Dep. J. Quesada", "Dep. R. Littlefield", "Dep. A. Kamara",
    "Dep. S. Odegaard", "Dep. V. Marchetti", "Dep. D. Tsosie", "Dep. C. Holloway",
];

/// Investigators of Lakeside who lead cases.
pub(crate) const LAKESIDE_LEADS: &[&str] =
    &["Inv. K. Pell", "Inv. K. Pell", "Inv. B. Desjardins", "Sgt. U. Amsel"];

/// Middle names; the empty ones stand for people without.
#[rustfmt::skip]
pub(crate) const MIDDLE_NAMES: &[&str] = &[
    "", "", "", "A.", "B.", "C.", "D.", "E.", "F.", "G.", "H.", "J.", "K.", "L.", "M.", "N.", "O.",
    "P.", "R.", "S.", "T.", "V.", "W.",
];
