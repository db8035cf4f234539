//! The documents and the recording in the evidence stores.
//!
//! The statement, the receipt and the recording of the story's case are files in `assets/`, made
//! by `assets/make-assets.sh`. Dispatch logs of other cases are written from those cases, so that
//! they agree with them.

use std::borrow::Cow;

use crate::seed::Agency;
use crate::seed::fixed;
use crate::seed::narrative;
use crate::seed::tables;
use crate::seed::world::World;

/// One thing in evidence.
pub(crate) struct Item {
    pub(crate) id: &'static str,
    pub(crate) case_number: String,
    pub(crate) title: &'static str,
    /// Also the key under which the store keeps it.
    pub(crate) file_name: String,
    pub(crate) media_type: &'static str,
    pub(crate) content: Cow<'static, [u8]>,
    pub(crate) collected_at: String,
    pub(crate) collected_by: &'static str,
    pub(crate) juvenile: bool,
}

/// Everything in an agency's evidence store.
pub(crate) fn items(world: &World) -> Vec<Item> {
    match world.agency {
        Agency::Riverton => story_items()
            .into_iter()
            .chain([
                dispatch_log(world, "E-000004", 3 * 4_000 + 131),
                dispatch_log(world, "E-000005", 3 * 4_000 + 978),
                dispatch_log(world, "E-000006", 4 * 4_000 + 41),
                dispatch_log(world, "E-000007", juvenile_case(world)),
            ])
            .collect(),
        Agency::Lakeside => {
            vec![dispatch_log(world, "E-000001", 996), dispatch_log(world, "E-000002", 1_301)]
        }
    }
}

fn story_items() -> [Item; 3] {
    let item = |id, title, file, media_type, content, collected_at: &str, collected_by| Item {
        id,
        case_number: fixed::CASE.to_owned(),
        title,
        file_name: format!("{}-{file}", fixed::CASE),
        media_type,
        content: Cow::Borrowed(content),
        collected_at: collected_at.to_owned(),
        collected_by,
        juvenile: false,
    };
    [
        item(
            "E-000001",
            "Witness statement of W. Achterberg",
            "statement.pdf",
            "application/pdf",
            include_bytes!("../../assets/statement.pdf").as_slice(),
            "2024-01-11 09:20",
            "Ofc. N. Hale",
        ),
        item(
            "E-000002",
            "Door camera, rear entrance",
            "door-camera.mp4",
            "video/mp4",
            include_bytes!("../../assets/door-camera.mp4").as_slice(),
            "2024-01-11 08:05",
            "Ofc. N. Hale",
        ),
        item(
            "E-000003",
            "Property and evidence receipt",
            "receipt.pdf",
            "application/pdf",
            include_bytes!("../../assets/receipt.pdf").as_slice(),
            "2024-01-11 11:45",
            "Det. M. Ruiz",
        ),
    ]
}

/// The first case of 2025 that is kept as a juvenile record.
fn juvenile_case(world: &World) -> u32 {
    (16_000..world.incidents).find(|number| world.incident(*number).juvenile).unwrap_or(16_000)
}

/// What dispatch noted of a case, as text.
fn dispatch_log(world: &World, id: &'static str, number: u32) -> Item {
    let incident = world.incident(number);
    let mut case_number = String::new();
    tables::case_number(&mut case_number, world, number);
    let mut collected_at = String::new();
    incident.settled.write(&mut collected_at);
    let (mut reported, mut clock, mut place, mut caller) =
        (String::new(), String::new(), String::new(), String::new());
    incident.reported.write_date(&mut reported);
    incident.reported.write_clock(&mut clock);
    narrative::place(&mut place, &incident.place);
    narrative::full_name(&mut caller, &world.person(incident.complainant));
    let (agency, ..) = world.agency.staff();
    let marking = if incident.juvenile { "HANDLE AS JUVENILE RECORD\n" } else { "" };
    let text = format!(
        "{agency} dispatch log (made up)\n{marking}\n\
         Case      {case_number}\nNature    {kind}\nDate      {reported}\nPlace     {place}\n\
         Caller    {caller}\nOfficer   {officer}\n\n\
         {clock}  call taken\n{clock}  {officer} assigned\n{clock}  en route\n\
         Disposition: {status}\n",
        kind = incident.kind.name,
        officer = incident.officer,
        status = incident.status,
    );
    Item {
        id,
        file_name: format!("{case_number}-dispatch-log.txt"),
        case_number,
        title: "Dispatch log",
        media_type: "text/plain",
        content: Cow::Owned(text.into_bytes()),
        collected_at,
        collected_by: incident.officer,
        juvenile: incident.juvenile,
    }
}
