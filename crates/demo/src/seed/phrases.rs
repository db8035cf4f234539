//! The fragments that narratives are composed from.
//!
//! A letter in braces stands for a detail: `{O}` the officer, `{C}` and `{c}` the complainant in
//! full and by last name, `{S}` and `{s}` the suspect, `{W}` and `{w}` the witness, `{V}` a
//! vehicle, `{P}` the place, `{D}` the date, `{T}` when it happened and `{R}` when it was
//! reported, `{A}` an amount, `{I}` an item, `{N}` a small number, `{E}` a property tag, `{L}` the
//! lead. Persons are named by last name and not by pronoun, for the record doesn't ask.

/// What sort of evidence and follow-up an incident has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Class {
    #[default]
    Property,
    Person,
    Traffic,
    Service,
}

/// Whether a vehicle comes into it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Car {
    /// Now and then somebody else's.
    #[default]
    Sometimes,
    /// Always, and not the complainant's.
    Others,
    /// Always, and the complainant's own.
    Own,
}

/// A kind of incident.
#[derive(Clone, Copy, Default)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) class: Class,
    pub(crate) car: Car,
    /// The summary line.
    pub(crate) summary: &'static str,
    /// What was found, or what the complainant said. One or two are used.
    pub(crate) scenes: &'static [&'static str],
}

/// All kinds, the frequent ones more than once.
pub(crate) const KINDS: &[Kind] = &[
    BURGLARY,
    THEFT,
    THEFT,
    THEFT,
    VEHICLE_THEFT,
    ASSAULT,
    VANDALISM,
    VANDALISM,
    CRASH,
    CRASH,
    CRASH,
    HIT_AND_RUN,
    DISTURBANCE,
    DISTURBANCE,
    FRAUD,
    FRAUD,
    MISSING,
    TRESPASS,
    TRESPASS,
    WELFARE,
    WELFARE,
    FOUND,
    SUSPICIOUS,
    SUSPICIOUS,
    IMPAIRED,
    ROBBERY,
];

pub(crate) const BURGLARY: Kind = Kind {
    name: "Burglary",
    class: Class::Property,
    car: Car::Sometimes,
    summary: "Forced entry at {P}; {I} and about {A} taken.",
    scenes: &[
        "The rear door stood open and the strike plate had been pried from the frame. {C} said that the building was locked at closing and that {I} was missing from the back office.",
        "A window on the alley side had been broken inward and the latch reached through the hole. {C} walked the rooms with me and listed {I} and roughly {A} in cash as gone.",
        "The side door showed fresh pry marks about {N} inches above the knob. Drawers in the main room were pulled out and emptied onto the floor. {C} valued the loss at {A}.",
        "There was no sign of forced entry. {C} stated that {N} people have a key and that the alarm had been off for the past week while it awaited repair. {I} could not be found.",
        "The padlock on the storage unit was cut and lay on the gravel. {C} reported {I} missing and estimated the value at {A}.",
    ],
};

pub(crate) const THEFT: Kind = Kind {
    name: "Theft",
    class: Class::Property,
    car: Car::Sometimes,
    summary: "{I} taken from {P}; value about {A}.",
    scenes: &[
        "{C} stated that {I} was left unattended for no more than {N} minutes and was gone on return. The value was given as {A}.",
        "{C}, who manages the store, said that a person selected {I}, walked past the last point of sale and left without paying. The register price was {A}.",
        "{C} advised that {I} had been taken from an unlocked vehicle overnight. Nothing else in the vehicle was disturbed.",
        "{C} noticed during the weekly count that {I} was missing from the stock room. The count before it, {N} days earlier, had been complete.",
        "A package with {I} was delivered to the porch and photographed by the carrier. {C} said it was gone when the family came home.",
    ],
};

pub(crate) const VEHICLE_THEFT: Kind = Kind {
    name: "Motor vehicle theft",
    class: Class::Property,
    car: Car::Own,
    summary: "Vehicle taken from {P} overnight.",
    scenes: &[
        "{C} parked in the usual place and found the space empty in the morning. There was no broken glass on the pavement. All keys are accounted for.",
        "{C} left the engine running to warm the vehicle and went inside for about {N} minutes. The vehicle was gone when {c} came out.",
        "{C} said that a spare key had been kept in a magnetic box under the bumper. The tow companies on the rotation list had no record of the vehicle.",
        "The dealership's manager, {C}, reported one vehicle short at the morning lot check. The key cabinet had been forced.",
    ],
};

pub(crate) const ASSAULT: Kind = Kind {
    name: "Assault",
    class: Class::Person,
    car: Car::Sometimes,
    summary: "Altercation at {P}; one person treated for minor injuries.",
    scenes: &[
        "{C} had redness along the left cheek and a small cut above the eye. {C} said that an argument over a parking space turned into a shove and then a punch.",
        "{C} was seated on the curb holding a towel to the mouth. Medics checked {c} on scene and {c} declined to be taken to the hospital.",
        "{C} stated that the other party had been asked to leave, refused, and struck {c} with a closed hand {N} times.",
        "The argument began over money, by the account of {C}, and both parties were on the ground when staff pulled them apart.",
    ],
};

pub(crate) const VANDALISM: Kind = Kind {
    name: "Vandalism",
    class: Class::Property,
    car: Car::Sometimes,
    summary: "Property damaged at {P}; repair estimated at {A}.",
    scenes: &[
        "Black paint had been sprayed across about {N} feet of the north wall. {C} gave the cost of cleaning as {A}.",
        "{N} windows were broken by stones, which still lay inside the room. {C} had last seen the building whole the evening before.",
        "{C} showed me two flattened tires with punctures in the sidewalls. No other vehicle on the block was damaged.",
        "The mailbox had been struck hard enough to shear the post. {C} collected the pieces before I arrived.",
        "{C} found the greenhouse panels cut in a straight line. The damage was put at {A}.",
    ],
};

pub(crate) const CRASH: Kind = Kind {
    name: "Traffic crash",
    class: Class::Traffic,
    car: Car::Own,
    summary: "Two-vehicle crash at {P}; no serious injury.",
    scenes: &[
        "Unit 1 was westbound and slowed for a turn when it was struck from behind. {C}, the driver of unit 1, complained of a stiff neck and was seen by medics.",
        "Both drivers said that they had the green light. The point of impact was in the middle of the intersection, with {N} feet of tire marks leading to it.",
        "{C} stated that the sun was low and that the other vehicle could not be seen until it was too late to stop. Damage to both vehicles was moderate.",
        "The road was wet. {C} lost control on the curve, crossed the center line and came to rest against the guard rail.",
        "{C} backed out of a parking stall and into the path of the other vehicle. Speed was low and nobody was hurt.",
    ],
};

pub(crate) const HIT_AND_RUN: Kind = Kind {
    name: "Hit and run",
    class: Class::Traffic,
    car: Car::Own,
    summary: "Parked vehicle struck at {P}; driver left without leaving a name.",
    scenes: &[
        "{C} came out to find the left rear door pushed in and flakes of paint in the dent. No note had been left.",
        "{C} heard the impact from the kitchen and saw only the tail lights. A broken lamp housing was recovered from the gutter.",
        "{C} was riding a bicycle in the marked lane when a mirror struck the handlebar. The vehicle slowed, then went on.",
        "The fence was down over {N} feet and a bumper cover lay in the yard. {C} put the damage at {A}.",
    ],
};

pub(crate) const DISTURBANCE: Kind = Kind {
    name: "Disturbance",
    class: Class::Person,
    car: Car::Sometimes,
    summary: "Verbal dispute at {P}; parties separated.",
    scenes: &[
        "I could hear shouting from the sidewalk. {C} came to the door and said that it had been an argument over rent and that nobody had been touched.",
        "{C} asked that the other party leave for the night. Both had calmed by the time of our arrival and agreed to stay apart.",
        "Music could be heard at a distance of {N} houses. {C} turned it down at once and was told of the city's noise ordinance.",
        "{C} and a neighbor have disagreed over the fence line for months. Each was advised that the matter is a civil one.",
    ],
};

pub(crate) const FRAUD: Kind = Kind {
    name: "Fraud",
    class: Class::Property,
    car: Car::Sometimes,
    summary: "Loss of {A} reported by a resident of {P}.",
    scenes: &[
        "{C} received a call from a person who claimed to be from the bank's security desk and read out a code that came by text. {A} left the account within the hour.",
        "{C} answered an advertisement for {I}, paid {A} by transfer and heard nothing more from the seller.",
        "{C} brought in {N} checks that {c} had not written. The signatures bear little likeness to the one on file.",
        "{C} found three charges on the statement, {A} in all, from a store that {c} has never visited.",
        "{C} was told that a warrant existed and could be settled with gift cards. {C} read out the numbers of {N} of them before calling us.",
    ],
};

pub(crate) const MISSING: Kind = Kind {
    name: "Missing person",
    class: Class::Service,
    car: Car::Sometimes,
    summary: "Family member last seen near {P}; located.",
    scenes: &[
        "{C} had expected a family member home {N} hours earlier and calls went to voice mail. A description was given to all units.",
        "{C} said that a roommate left on foot after a quarrel and took no coat. The usual places had been checked.",
        "Staff of the care home, through {C}, reported a resident absent at the evening count. The grounds were searched first.",
    ],
};

pub(crate) const TRESPASS: Kind = Kind {
    name: "Trespass",
    class: Class::Person,
    car: Car::Sometimes,
    summary: "Person refused to leave {P}.",
    scenes: &[
        "{C} asked that a person who had been told to stay away be removed. The person was sitting in the entry and left when told to.",
        "{C} pointed out a tent behind the loading dock. The occupant gathered {N} bags and was given the number of the shelter.",
        "{C} said that somebody had been sleeping in the vacant unit. A mattress and food wrappers were found on the second floor.",
        "The gate chain had been cut and {N} people were fishing from the dam. {C} did not want a citation written.",
    ],
};

pub(crate) const WELFARE: Kind = Kind {
    name: "Welfare check",
    class: Class::Service,
    car: Car::Sometimes,
    summary: "Check on a resident at {P}.",
    scenes: &[
        "{C}, who lives out of state, had not reached a parent for {N} days. The resident answered the door and was in good health; the telephone was out of order.",
        "Mail had gathered in the box. {C} had a key and came in with us. The resident had been in the hospital since the weekend.",
        "{C} reported a driver asleep at the wheel. The driver was a nurse coming off a double shift and was sent home by cab.",
    ],
};

pub(crate) const FOUND: Kind = Kind {
    name: "Found property",
    class: Class::Service,
    car: Car::Sometimes,
    summary: "{I} handed in from {P}.",
    scenes: &[
        "{C} turned in {I} found on the sidewalk. There was no name on it.",
        "{C} brought {I} to the front desk and gave the place where it was found. The owner has been left a message.",
        "A city crew came upon {I} while clearing the ditch. {C}, the foreman, set it aside for us.",
    ],
};

pub(crate) const SUSPICIOUS: Kind = Kind {
    name: "Suspicious circumstance",
    class: Class::Service,
    car: Car::Sometimes,
    summary: "Activity reported near {P}.",
    scenes: &[
        "{C} saw a person with a flashlight walk from vehicle to vehicle and try the handles. The person had left by the time I arrived.",
        "{C} said that the same vehicle has been parked across from the school for {N} afternoons. The driver turned out to wait for a child.",
        "{C} heard glass break. The area was checked on foot and nothing was found out of place.",
        "A door of the closed shop was found unlocked on patrol. {C}, the key holder, came and found nothing missing.",
    ],
};

pub(crate) const IMPAIRED: Kind = Kind {
    name: "Impaired driving",
    class: Class::Traffic,
    car: Car::Others,
    summary: "Traffic stop near {P}; driver arrested for impaired driving.",
    scenes: &[
        "The vehicle crossed the center line {N} times in half a mile. There was an odor of alcohol and the driver's speech was slow.",
        "{C} had called from behind the vehicle and stayed on the line until I was in position. The driver could not find the registration, which was in plain view.",
        "The vehicle was stopped in the travel lane with its lights off. The driver performed poorly on the standard tests and agreed to give a breath sample.",
    ],
};

pub(crate) const ROBBERY: Kind = Kind {
    name: "Robbery",
    class: Class::Person,
    car: Car::Sometimes,
    summary: "Cash demanded from a clerk at {P}; about {A} taken.",
    scenes: &[
        "{C}, the clerk, said that a person in a dark hood put a note on the counter that asked for the money in the till. No weapon was shown. About {A} was handed over.",
        "{C} was walking home when two people asked for the time, then pulled away {I}. {C} was pushed but not hurt.",
        "{C} had closed the register and was taking the deposit to the car. The bag, with about {A}, was torn away from behind.",
    ],
};

/// How a narrative begins.
pub(crate) const OPENINGS: &[&str] = &[
    "On {D} at {R} hours I, {O}, was sent to {P}.",
    "I, {O}, took this report on {D} at {R} hours at {P}.",
    "At {R} hours on {D} dispatch received a call from {P}, and I, {O}, responded.",
    "While on patrol on {D} I, {O}, was flagged down near {P} at {R} hours.",
    "On {D} {C} called the front desk. I, {O}, met {c} at {P} at {R} hours.",
    "{O} and a second unit were dispatched to {P} at {R} hours on {D}.",
];

/// When it happened, for kinds with a victim.
pub(crate) const TIMES: &[&str] = &[
    "The event took place at about {T} hours.",
    "By the best account it happened at {T} hours, give or take ten minutes.",
    "{C} last saw things in order shortly before {T} hours.",
    "The time is fixed by a call that {c} made at {T} hours.",
];

/// Where a vehicle comes in.
pub(crate) const VEHICLES: &[&str] = &[
    "A {V}, was seen leaving toward the highway.",
    "The vehicle concerned is a {V}.",
    "A neighbor's camera recorded a {V}, twice within the hour.",
    "The plate reader on the bridge noted a {V}, {N} minutes later.",
    "Parked nearby was a {V}; its hood was warm.",
];

/// Where the complainant's own vehicle comes in.
pub(crate) const OWN_VEHICLES: &[&str] = &[
    "The vehicle is a {V}, registered to {c}.",
    "{C} is the registered owner of a {V}.",
    "{c} drives a {V}.",
];

/// Where a suspect comes in.
pub(crate) const SUSPECTS: &[&str] = &[
    "{S} was identified from the still image by {C}.",
    "{S} was located two blocks away, agreed to talk and denied having been at {P}.",
    "{S} was named by {C} as the person responsible. {s} has not yet been reached.",
    "{S} came to the station the next day with counsel and gave no statement.",
    "{S} admitted to being there but said that {c} had invited the visit.",
    "A records check showed that {S} had been warned away from the address {N} months before.",
];

/// Where a suspect comes in who is under 18.
pub(crate) const JUVENILES: &[&str] = &[
    "{S}, a juvenile, was released to a parent. The interview was held with the parent in the room.",
    "{S} is a juvenile; this report is to be handled as a juvenile record.",
    "{S}, a juvenile, was referred to the diversion program after a call to the county attorney.",
];

/// Where a witness comes in.
pub(crate) const WITNESSES: &[&str] = &[
    "{W}, who lives across the street, heard voices but saw nobody.",
    "{W} was walking a dog and saw one person run north.",
    "{W} gave a written statement, which is attached.",
    "{W} saw the end of it from a distance of {N} car lengths and remembers a dark jacket.",
    "{W} confirmed the account of {C} in every particular.",
    "{W} did not want to be named in the newspaper and was told how statements are kept.",
];

/// Where a witness to a crash comes in, or one where there is little to see.
pub(crate) const BYSTANDERS: &[&str] = &[
    "{W} stopped to help and gave a written statement, which is attached.",
    "{W} was in the next lane and confirmed the account of {C}.",
    "{W}, who works nearby, came over after it was quiet again.",
    "{W} heard it but did not see it.",
];

/// What was secured and what is to follow, by class.
pub(crate) const FOLLOW_UPS: [(Class, &[&str]); 4] = [
    (
        Class::Property,
        &[
            "{N} latent prints were lifted and submitted under tag {E}.",
            "Photographs were taken and booked under tag {E}.",
            "The area was checked for cameras; two businesses will copy their recordings.",
            "A swab was taken from the edge of the opening and sealed as {E}.",
            "Serial numbers will be entered once {c} has found the receipts.",
            "Pawn shops in the county were sent a description of {I}.",
            "A canvass of {N} addresses brought nothing further.",
        ],
    ),
    (
        Class::Person,
        &[
            "Photographs of the injuries were booked under tag {E}.",
            "Body-worn camera was on throughout and the recording is kept under tag {E}.",
            "The victim was given the information card and the number of the advocate.",
            "Statements were taken apart from each other.",
            "Both parties were advised how to ask for a protection order.",
        ],
    ),
    (
        Class::Traffic,
        &[
            "Measurements were taken and a diagram is attached under tag {E}.",
            "Insurance was exchanged and both vehicles were driven from the scene.",
            "One vehicle was towed by the rotation service.",
            "The road was reopened after {N}0 minutes.",
            "A citation was issued for following too closely.",
        ],
    ),
    (
        Class::Service,
        &[
            "No crime was apparent.",
            "The next of kin was informed by telephone.",
            "Extra patrol was asked for over the next {N} nights.",
            "The item was booked under tag {E}.",
            "The caller was thanked and the unit cleared after {N}0 minutes.",
        ],
    ),
];

/// How an incident stands, with what its narrative says at the end.
pub(crate) const ENDINGS: &[(&str, &[&str])] = &[
    ("closed", &["Nothing further.", "This report closes the case.", "No follow-up is expected."]),
    (
        "open",
        &[
            "Forwarded to {L} for follow-up.",
            "The case stays open.",
            "{L} will contact {C} this week.",
        ],
    ),
    ("inactive", &["All leads are exhausted for now.", "Inactive until the laboratory answers."]),
    (
        "cleared by arrest",
        &["An arrest was made; see the booking sheet.", "Cleared by arrest, reviewed by {L}."],
    ),
    (
        "referred",
        &["Referred to the county attorney.", "The matter was referred to another agency."],
    ),
];

/// Things that get lost, taken or found.
#[rustfmt::skip]
pub(crate) const ITEMS: &[&str] = &[
    "a cordless drill set", "a silver laptop", "two bicycles", "a generator", "a set of brass taps",
    "a violin in its case", "a locked cash box", "a chain saw", "a roll of copper cable",
    "a blue backpack", "a wedding ring", "a pressure washer", "a tablet computer", "a camera bag",
    "a carton of cigarettes", "a coin collection", "a trail camera", "a pair of work boots",
    "a boat motor", "a wallet", "a set of golf clubs", "an electric scooter", "a tool chest",
    "a case of spray paint", "a bank envelope", "a telescope", "a sewing machine", "a key ring",
];
