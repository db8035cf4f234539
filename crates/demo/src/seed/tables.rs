//! The records database: its tables, and every row of them in order.
//!
//! A row is written cell by cell into one buffer that is used again for the next, and given to a
//! [`Sink`]: SQLite, PostgreSQL's COPY text, or a digest. What they receive is the same.

use crate::seed::dice::{at, digits};
use crate::seed::evidence;
use crate::seed::fixed;
use crate::seed::narrative;
use crate::seed::phrases::{self, Car};
use crate::seed::world::{Lane, World, YEAR_FIRST, YEARS};
use crate::seed::{Agency, SeedError};

/// A table of the records database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    Persons,
    Vehicles,
    VehicleEvents,
    Incidents,
    IncidentPersons,
    IncidentVehicles,
    Evidence,
}

impl Table {
    /// All tables, in the order in which they are filled.
    pub const ALL: [Self; 7] = [
        Self::Persons,
        Self::Vehicles,
        Self::VehicleEvents,
        Self::Incidents,
        Self::IncidentPersons,
        Self::IncidentVehicles,
        Self::Evidence,
    ];

    /// Its name in SQL.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Persons => "persons",
            Self::Vehicles => "vehicles",
            Self::VehicleEvents => "vehicle_events",
            Self::Incidents => "incidents",
            Self::IncidentPersons => "incident_persons",
            Self::IncidentVehicles => "incident_vehicles",
            Self::Evidence => "evidence",
        }
    }

    /// Its columns, each with the SQL type that both databases know; the first is the key, and
    /// the link tables have all columns as theirs.
    #[must_use]
    pub const fn columns(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Persons => PERSONS_COLUMNS,
            Self::Vehicles => VEHICLES_COLUMNS,
            Self::VehicleEvents => &[
                ("id", "integer not null"),
                ("vehicle_id", "text not null"),
                ("seen_at", "text not null"),
                ("agency", "text not null"),
                ("event", "text not null"),
                ("officer", "text not null"),
            ],
            Self::Incidents => INCIDENTS_COLUMNS,
            Self::IncidentPersons => &[
                ("incident_id", "text not null"),
                ("person_id", "text not null"),
                ("role", "text not null"),
            ],
            Self::IncidentVehicles => &[
                ("incident_id", "text not null"),
                ("vehicle_id", "text not null"),
                ("role", "text not null"),
            ],
            Self::Evidence => EVIDENCE_COLUMNS,
        }
    }

    /// The columns of its primary key.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Persons | Self::Vehicles | Self::VehicleEvents | Self::Incidents => "id",
            Self::Evidence => "id",
            Self::IncidentPersons => "incident_id, person_id, role",
            Self::IncidentVehicles => "incident_id, vehicle_id, role",
        }
    }
}

const PERSONS_COLUMNS: &[(&str, &str)] = &[
    ("id", "text not null"),
    ("last_name", "text not null"),
    ("first_name", "text not null"),
    ("middle_name", "text"),
    ("dob", "text not null"),
    ("sex", "text not null"),
    ("height_cm", "integer not null"),
    ("licence_no", "text"),
    ("address", "text not null"),
    ("city", "text not null"),
    ("phone", "text not null"),
    ("caveat", "text"),
];

const VEHICLES_COLUMNS: &[(&str, &str)] = &[
    ("id", "text not null"),
    ("plate", "text not null"),
    ("state", "text not null"),
    ("year", "integer not null"),
    ("make", "text not null"),
    ("model", "text not null"),
    ("colour", "text not null"),
    ("vin", "text not null"),
    ("owner_id", "text not null"),
    ("status", "text not null"),
    ("flag_reason", "text"),
    ("flag_until", "text"),
    ("flagged_by", "text"),
];

const INCIDENTS_COLUMNS: &[(&str, &str)] = &[
    ("id", "text not null"),
    ("case_number", "text not null"),
    ("kind", "text not null"),
    ("occurred_at", "text not null"),
    ("reported_at", "text not null"),
    ("place", "text not null"),
    ("status", "text not null"),
    ("lead_officer", "text not null"),
    ("summary", "text not null"),
    ("narrative", "text not null"),
    ("caveat", "text"),
];

const EVIDENCE_COLUMNS: &[(&str, &str)] = &[
    ("id", "text not null"),
    ("case_number", "text not null"),
    ("title", "text not null"),
    ("file_name", "text not null"),
    ("media_type", "text not null"),
    ("bytes", "integer not null"),
    ("sha256", "text not null"),
    ("collected_at", "text not null"),
    ("collected_by", "text not null"),
    ("store_key", "text not null"),
    ("caveat", "text"),
];

/// One value of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cell<'a> {
    Null,
    Int(i64),
    Text(&'a str),
}

/// Where rows go.
pub(crate) trait Sink {
    fn row(&mut self, table: Table, row: &Row) -> Result<(), SeedError>;
}

/// One row; the texts of its cells lie behind each other in one string.
#[derive(Default)]
pub(crate) struct Row {
    text: String,
    spots: Vec<Spot>,
}

enum Spot {
    Null,
    Int(i64),
    Text(usize, usize),
}

impl Row {
    pub(crate) fn cells(&self) -> impl Iterator<Item = Cell<'_>> {
        self.spots.iter().map(|spot| match spot {
            Spot::Null => Cell::Null,
            Spot::Int(number) => Cell::Int(*number),
            Spot::Text(start, end) => Cell::Text(self.text.get(*start..*end).unwrap_or_default()),
        })
    }

    fn begin(&mut self) {
        self.text.clear();
        self.spots.clear();
    }

    fn null(&mut self) {
        self.spots.push(Spot::Null);
    }

    fn int(&mut self, number: impl Into<i64>) {
        self.spots.push(Spot::Int(number.into()));
    }

    fn with(&mut self, write: impl FnOnce(&mut String)) {
        let start = self.text.len();
        write(&mut self.text);
        self.spots.push(Spot::Text(start, self.text.len()));
    }

    fn text(&mut self, text: &str) {
        self.with(|out| out.push_str(text));
    }

    fn text_or_null(&mut self, text: &str) {
        if text.is_empty() { self.null() } else { self.text(text) }
    }

    fn id(&mut self, letter: char, number: u32) {
        self.with(|out| id(out, letter, number));
    }

    fn caveat(&mut self, juvenile: bool) {
        if juvenile { self.text("JUVENILE") } else { self.null() }
    }
}

/// `P-000113` for the person of number 112.
pub(crate) fn id(out: &mut String, letter: char, number: u32) {
    out.push(letter);
    out.push('-');
    digits(out, number + 1, 6);
}

/// `24-000113`
pub(crate) fn case_number(out: &mut String, world: &World, number: u32) {
    let (year, serial) = world.case(number);
    digits(out, year % 100, 2);
    out.push('-');
    digits(out, serial, 6);
}

/// Gives every row of a table to the sink, in the order of its key.
pub(crate) fn rows(world: &World, table: Table, sink: &mut dyn Sink) -> Result<(), SeedError> {
    let mut row = Row::default();
    match table {
        Table::Persons => each(world.persons, |number| {
            person(world, number, &mut row);
            sink.row(table, &row)
        }),
        Table::Vehicles => each(world.vehicles, |number| {
            vehicle(world, number, &mut row);
            sink.row(table, &row)
        }),
        Table::VehicleEvents => vehicle_events(world, &mut row, sink),
        Table::Incidents => {
            let mut scratch = (String::new(), String::new());
            each(world.incidents, |number| {
                incident(world, number, &mut row, &mut scratch);
                sink.row(table, &row)
            })
        }
        Table::IncidentPersons => {
            each(world.incidents, |number| incident_persons(world, number, &mut row, sink))
        }
        Table::IncidentVehicles => each(world.incidents, |number| {
            let Some(vehicle) = world.incident(number).vehicle else { return Ok(()) };
            row.begin();
            row.id('I', number);
            row.id('V', vehicle);
            row.text("involved");
            sink.row(table, &row)
        }),
        Table::Evidence => evidence::items(world).iter().try_for_each(|item| {
            row.begin();
            row.text(item.id);
            row.text(&item.case_number);
            row.text(item.title);
            row.text(&item.file_name);
            row.text(item.media_type);
            row.int(i64::try_from(item.content.len()).unwrap_or(i64::MAX));
            row.with(|out| hex(out, &keys::digest::sha256(&item.content)));
            row.text(&item.collected_at);
            row.text(item.collected_by);
            row.text(&item.file_name);
            row.caveat(item.juvenile);
            sink.row(table, &row)
        }),
    }
}

fn each(count: u32, mut one: impl FnMut(u32) -> Result<(), SeedError>) -> Result<(), SeedError> {
    (0..count).try_for_each(&mut one)
}

fn person(world: &World, number: u32, row: &mut Row) {
    let person = world.person(number);
    let (year, month, day) = person.born;
    let (area, line) = person.phone;
    row.begin();
    row.id('P', number);
    row.text(person.last);
    row.text(person.first);
    row.text_or_null(person.middle);
    row.with(|out| {
        digits(out, year, 4);
        out.push('-');
        digits(out, month, 2);
        out.push('-');
        digits(out, day, 2);
    });
    row.text(person.sex);
    row.int(person.height_cm);
    match person.licence {
        Some(licence) => row.with(|out| {
            out.push('N');
            digits(out, licence, 8);
        }),
        None => row.null(),
    }
    row.with(|out| narrative::street(out, &person.address));
    row.text(person.address.city);
    row.with(|out| {
        digits(out, area, 3);
        out.push_str("-555-0");
        digits(out, line, 3);
    });
    row.caveat(person.juvenile);
}

fn vehicle(world: &World, number: u32, row: &mut Row) {
    const REASONS: [&str; 4] = [
        "Seen near two burglaries; note occupants",
        "Owner sought as a witness",
        "Plate reported lost, may be in use on another car",
        "Registered keeper reports the car is driven without leave",
    ];
    let vehicle = world.vehicle(number);
    row.begin();
    row.id('V', number);
    row.with(|out| out.extend(vehicle.plate));
    row.text(vehicle.state);
    row.int(vehicle.year);
    row.text(vehicle.make);
    row.text(vehicle.model);
    row.text(vehicle.colour);
    row.with(|out| out.extend(vehicle.vin));
    row.id('P', vehicle.owner);
    row.text(vehicle.status);
    if vehicle.status == "flagged" {
        row.text(at(&REASONS, number % 4));
        row.text("2026-03-31");
        row.text(match world.agency {
            Agency::Riverton => "sgt.okafor",
            Agency::Lakeside => "inv.pell",
        });
    } else {
        row.null();
        row.null();
        row.null();
    }
}

fn incident(world: &World, number: u32, row: &mut Row, scratch: &mut (String, String)) {
    let incident = world.incident(number);
    let (summary, text) = scratch;
    narrative::write(world, incident, summary, text);
    row.begin();
    row.id('I', number);
    row.with(|out| case_number(out, world, number));
    row.text(incident.kind.name);
    row.with(|out| incident.occurred.write(out));
    row.with(|out| incident.reported.write(out));
    row.with(|out| narrative::place(out, &incident.place));
    row.text(incident.status);
    row.text(incident.lead);
    row.text(summary);
    row.text(text);
    row.caveat(incident.juvenile);
}

fn incident_persons(
    world: &World,
    number: u32,
    row: &mut Row,
    sink: &mut dyn Sink,
) -> Result<(), SeedError> {
    let incident = world.incident(number);
    let suspect = if incident.status == "cleared by arrest" { "arrestee" } else { "suspect" };
    let complainant = match incident.kind.car {
        Car::Own => "registered owner",
        Car::Others | Car::Sometimes => "complainant",
    };
    let story = world.agency == Agency::Riverton && number == fixed::INCIDENT;
    let also = story.then_some(fixed::ALSO_INVOLVED);
    let all = [
        Some((incident.complainant, complainant)),
        incident.suspect.map(|one| (one, if story { "person of interest" } else { suspect })),
        incident.witness.map(|one| (one, "witness")),
        also,
    ];
    all.into_iter().flatten().try_for_each(|(person, role)| {
        row.begin();
        row.id('I', number);
        row.id('P', person);
        row.text(role);
        sink.row(Table::IncidentPersons, row)
    })
}

/// What vehicles were seen at: the story's sightings, then chance, then the incidents.
fn vehicle_events(world: &World, row: &mut Row, sink: &mut dyn Sink) -> Result<(), SeedError> {
    let mut count: i64 = 0;
    let mut write = |vehicle, seen: &dyn Fn(&mut String), agency, event: &str, officer| {
        count += 1;
        row.begin();
        row.int(count);
        row.id('V', vehicle);
        row.with(seen);
        row.text(agency);
        row.text(event);
        row.text(officer);
        sink.row(Table::VehicleEvents, row)
    };
    let (own, officers, _) = world.agency.staff();
    if world.agency == Agency::Riverton {
        for (seen, agency, event, officer) in fixed::SIGHTINGS {
            write(fixed::VEHICLE, &|out| out.push_str(seen), agency, event, officer)?;
        }
    }
    for vehicle in 0..world.vehicles {
        let mut dice = world.dice(Lane::Events, vehicle);
        if world.agency == Agency::Riverton && vehicle == fixed::VEHICLE {
            continue;
        }
        for _ in 0..dice.pick(&[0, 0, 1, 1, 1, 2, 3]) {
            let seen = dice.moment(YEAR_FIRST, YEARS);
            let (event, here) = dice.pick(EVENTS);
            let officer = dice.pick(officers);
            let (agency, officer) =
                if here { (own, officer) } else { ("State Motor Vehicles", "clerk 09") };
            write(vehicle, &|out| seen.write(out), agency, event, officer)?;
        }
        if world.vehicle(vehicle).status == "stolen" {
            let seen = dice.moment(YEAR_FIRST + YEARS - 1, 1);
            let officer = dice.pick(officers);
            write(vehicle, &|out| seen.write(out), own, "entered as stolen", officer)?;
        }
    }
    let mut event = String::new();
    for number in 0..world.incidents {
        let incident = world.incident(number);
        let Some(vehicle) = incident.vehicle else { continue };
        event.clear();
        case_number(&mut event, world, number);
        event.push_str(": ");
        event.push_str(incident.kind.name);
        write(vehicle, &|out| incident.reported.write(out), own, &event, incident.officer)?;
        if incident.kind.name == phrases::VEHICLE_THEFT.name && incident.status != "open" {
            write(vehicle, &|out| incident.settled.write(out), own, "recovered", incident.officer)?;
        }
    }
    Ok(())
}

/// Chance sightings, and whether an officer of the agency made them.
const EVENTS: &[(&str, bool)] = &[
    ("plate reader, River Road", true),
    ("plate reader, Harbor Bridge", true),
    ("parking citation", true),
    ("traffic stop; warned", true),
    ("traffic stop; cited for speed", true),
    ("found unlocked, owner told", true),
    ("registration renewed", false),
    ("registration renewed", false),
    ("registration lapsed", false),
    ("title transferred", false),
];

/// Lower-case hexadecimal.
pub(crate) fn hex(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        for half in [byte >> 4, byte & 15] {
            out.push(char::from_digit(u32::from(half), 16).unwrap_or('0'));
        }
    }
}
