//! The Merkle tree as a picture, with a table of the same beside it.
//!
//! A log of n entries is a row of perfect subtrees, one for each bit of n, the largest first. Each
//! is drawn as a triangle: its height shows how many times its entries double, and its label says
//! how many there are. Nothing in the picture depends on colour.

use ledger::merkle::Hash;
use maud::{Markup, html};

/// One perfect subtree: which entries it holds, and its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Subtree {
    /// It holds 2^level entries.
    pub(super) level: u32,
    /// The first of them.
    pub(super) first: u64,
    /// Its hash (RFC 9162 §2.1).
    pub(super) hash: Hash,
}

impl Subtree {
    fn entries(self) -> u64 {
        1_u64.checked_shl(self.level).unwrap_or(u64::MAX)
    }

    fn last(self) -> u64 {
        self.first.saturating_add(self.entries() - 1)
    }
}

/// The subtrees of a log with so many entries, from their hashes, largest first.
pub(super) fn subtrees(size: u64, hashes: &[Hash]) -> Vec<Subtree> {
    let levels = (0..u64::BITS).rev().filter(|level| (size >> level) & 1 == 1);
    let mut first = 0;
    let mut found = Vec::new();
    for (level, hash) in levels.zip(hashes) {
        found.push(Subtree { level, first, hash: *hash });
        first += 1_u64 << level;
    }
    found
}

const STEP: u32 = 14;
const BASE: u32 = 26;
const GAP: u32 = 8;
const LABEL: u32 = 34;
const TOP: u32 = 12;

/// The picture and its table.
pub(super) fn drawn(size: u64, subtrees: &[Subtree]) -> Markup {
    if subtrees.is_empty() {
        return html! { div class="empty" { p { strong { "The log has no entry yet." } } } };
    }
    html! {
        figure class="figure" {
            (picture(size, subtrees))
            figcaption class="small muted" {
                "Each triangle is a perfect subtree. Its height is how often its entries double, and \
                 the root is the hash of all of them together."
            }
        }
        details {
            summary { "Show as a table" }
            div class="tablebox" role="region" aria-label="Subtrees of the log" tabindex="0" {
                table class="table" {
                    caption class="usa-sr-only" { "Subtrees of the log" }
                    thead { tr {
                        th scope="col" { "Entries" } th scope="col" { "How many" }
                        th scope="col" { "Hash" }
                    } }
                    tbody { @for subtree in subtrees { tr {
                        th scope="row" class="nowrap" { (subtree.first) " to " (subtree.last()) }
                        td class="num" { (subtree.entries()) }
                        td class="hash" { (hex::encode(subtree.hash)) }
                    } } }
                }
            }
        }
    }
}

fn width(subtree: &Subtree) -> u32 {
    BASE + subtree.level * 6
}

fn picture(size: u64, subtrees: &[Subtree]) -> Markup {
    let tallest = subtrees.iter().map(|it| it.level).max().unwrap_or(0);
    let floor = TOP + BASE + tallest * STEP;
    let total: u32 = subtrees.iter().map(|it| width(it) + GAP).sum::<u32>() + GAP;
    let placed = subtrees.iter().scan(GAP, |left, subtree| {
        let from = *left;
        *left += width(subtree) + GAP;
        Some((from, subtree))
    });
    html! {
        svg class="tree" role="img" viewBox={ "0 0 " (total) " " (floor + LABEL) }
            width=(total) height=(floor + LABEL) aria-labelledby="tree-title tree-text" {
            title id="tree-title" { "The Merkle tree of " (size) " entries" }
            desc id="tree-text" {
                (subtrees.len()) " perfect subtrees, of "
                @for (at, subtree) in subtrees.iter().enumerate() {
                    @if at > 0 { ", " } (subtree.entries())
                }
                " entries."
            }
            @for (from, subtree) in placed {
                @let wide = width(subtree);
                @let middle = from + wide / 2;
                polygon class="tree__part" points={
                    (from) "," (floor) " " (from + wide) "," (floor) " "
                    (middle) "," (floor - BASE - subtree.level * STEP)
                } {}
                text class="tree__label" x=(middle) y=(floor + 14) text-anchor="middle" {
                    (short(subtree.entries()))
                }
            }
            line class="tree__floor" x1="0" x2=(total) y1=(floor) y2=(floor) {}
            text class="tree__note" x=(GAP) y=(floor + 30) { "entry 0" }
            text class="tree__note" x=(total - GAP) y=(floor + 30) text-anchor="end" {
                "entry " (size.saturating_sub(1))
            }
        }
    }
}

/// A count in at most five characters.
fn short(count: u64) -> String {
    match count {
        0..1_024 => count.to_string(),
        1_024..1_048_576 => format!("{}Ki", count >> 10),
        1_048_576..1_073_741_824 => format!("{}Mi", count >> 20),
        _ => format!("{}Gi", count >> 30),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(size: u64) -> Vec<Subtree> {
        let count = size.count_ones();
        let hashes: Vec<Hash> = (0..count).map(|nth| [u8::try_from(nth).unwrap(); 32]).collect();
        subtrees(size, &hashes)
    }

    #[test]
    fn a_log_falls_into_perfect_subtrees_the_largest_first() {
        let found: Vec<(u64, u64)> = of(13).iter().map(|it| (it.first, it.last())).collect();
        assert_eq!(found, [(0, 7), (8, 11), (12, 12)]);
    }

    #[test]
    fn the_picture_says_in_words_what_it_shows() {
        let page = drawn(13, &of(13)).into_string();
        assert!(page.contains("3 perfect subtrees, of 8, 4, 1 entries."), "{page}");
        assert_eq!(page.matches("<polygon").count(), 3);
        assert_eq!(page.matches("<th scope=\"row\"").count(), 3);
    }

    #[test]
    fn an_empty_log_is_told() {
        assert!(drawn(0, &[]).into_string().contains("no entry yet"));
    }

    #[test]
    fn the_largest_logs_are_drawn_without_overflow() {
        let page = drawn(u64::MAX >> 1, &of(u64::MAX >> 1)).into_string();
        assert_eq!(page.matches("<polygon").count(), 63);
    }
}
