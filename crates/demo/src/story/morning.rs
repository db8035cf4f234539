//! The whole story in order, each step told as it holds; it ends at the first that does not.

use std::path::Path;
use std::time::Instant;

use crate::log::Log;
use crate::runner::World;
use crate::story::cast::{Cast, Step};
use crate::story::{refusals, steps, traces};

/// Tells the steps, numbered.
struct Told {
    say: fn(&str),
    number: u32,
}

impl Told {
    /// Whether the step holds.
    fn tell(&mut self, step: &Step) -> bool {
        self.number += 1;
        let number = self.number;
        match step {
            Ok(sentence) => (self.say)(&format!("ok  {number:>2}  {sentence}")),
            Err(failed) => (self.say)(&format!("FAIL {number:>2}  {}", failed.lines())),
        }
        step.is_ok()
    }
}

/// Plays the story in a world that was just started under `root`, and stops that world. Tells
/// whether all of it held.
pub(crate) async fn play(world: World, root: &Path, log: &Log, say: fn(&str)) -> bool {
    let begun = Instant::now();
    say(&format!("two agencies, ready after {} ms", world.ready_ms));
    let mut cast = Cast::new(&world);
    let mut told = Told { say, number: 0 };
    let people = with_people(&mut cast, &mut told).await;
    let guarded = people && with_ill_intent(&mut cast, &mut told).await;
    world.stop().await;
    traces::settled(root).await;
    let held = guarded
        && told.tell(&traces::ledgers_hold(root))
        && told.tell(&traces::nothing_in_the_clear(root, log))
        && told.tell(&traces::flipped_bit_is_named(root));
    if held {
        let seconds = begun.elapsed().as_secs_f32();
        say(&format!("all {} steps hold, in {seconds:.1} s", told.number));
    }
    held
}

/// Plays what reads and writes records: sign-in, the three tools, the flag and the refusal. Tells
/// whether all of it held.
pub async fn play_queries(world: &World, say: fn(&str)) -> bool {
    let mut cast = Cast::new(world);
    with_records(&mut cast, &mut Told { say, number: 0 }).await
}

async fn with_records(cast: &mut Cast, told: &mut Told) -> bool {
    told.tell(&steps::detective_signs_in(cast).await)
        && told.tell(&steps::plate_is_found(cast).await)
        && told.tell(&steps::car_is_flagged(cast).await)
        && told.tell(&steps::juvenile_is_refused(cast).await)
        && told.tell(&steps::case_is_read(cast).await)
}

async fn with_people(cast: &mut Cast, told: &mut Told) -> bool {
    with_records(cast, told).await
        && told.tell(&steps::export_is_asked_for(cast).await)
        && told.tell(&steps::own_approval_is_refused(cast).await)
        && told.tell(&steps::export_is_approved(cast).await)
        && told.tell(&steps::parcel_is_opened(cast).await)
        && told.tell(&steps::audit_lists_who_looked(cast).await)
        && told.tell(&steps::both_ledgers_agree(cast).await)
        && told.tell(&steps::ledgers_are_witnessed(cast).await)
        && told.tell(&steps::agreement_is_reviewed(cast).await)
}

async fn with_ill_intent(cast: &mut Cast, told: &mut Told) -> bool {
    told.tell(&refusals::forged_form(cast).await)
        && told.tell(&refusals::other_site(cast).await)
        && told.tell(&refusals::unknown_tool(cast).await)
        && told.tell(&refusals::sql_as_text(cast).await)
        && told.tell(&refusals::other_persons_handle(cast).await)
        && told.tell(&refusals::old_answer(cast).await)
}
