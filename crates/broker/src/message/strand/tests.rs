use super::sealing::SealedStrand;
use super::*;
use crate::{Lsn, Place};

fn slot(number: u64) -> Slot {
    Slot { place: Place::in_entry(Lsn(number + 1), 0), header_bytes: 6, body_bytes: 10 }
}

fn strand(messages: u64) -> Strand {
    let mut strand = Strand::default();
    for number in 0..messages {
        strand.push(number, slot(number));
    }
    strand
}

fn offered(strand: &mut Strand) -> Vec<u64> {
    std::iter::from_fn(|| strand.offer()).map(|message| message.sequence).collect()
}

#[test]
fn offers_in_order_of_arrival_over_many_pages() {
    let mut strand = strand(1300);
    assert_eq!(offered(&mut strand), (0..1300).collect::<Vec<_>>());
    assert_eq!((strand.ready().messages, strand.held().messages), (0, 1300));
}

#[test]
fn a_requeued_message_returns_to_its_place() {
    let mut strand = strand(600);
    for _ in 0..550 {
        strand.offer().unwrap();
    }
    strand.requeue(520);
    strand.requeue(3);
    assert_eq!(offered(&mut strand)[..3], [3, 520, 550]);
}

#[test]
fn spent_pages_are_forgotten_also_behind_a_stuck_message() {
    let mut strand = strand(2048);
    offered(&mut strand);
    for sequence in 1..2048 {
        strand.settle(sequence).unwrap();
    }
    assert_eq!(strand.pages.iter().filter_map(Seat::page).count(), 1);
    strand.requeue(0);
    assert_eq!(offered(&mut strand), [0]);
    strand.settle(0).unwrap();
    assert!(strand.pages.is_empty());
    strand.push(2048, slot(2048));
    assert_eq!(offered(&mut strand), [2048]);
}

#[test]
fn purge_leaves_held_messages() {
    let mut strand = strand(1000);
    for _ in 0..10 {
        strand.offer();
    }
    assert_eq!(strand.held_below(1000), (0..10).collect::<Vec<_>>());
    assert_eq!(strand.purge(1000, &[], &mut |_| ()), 990);
    strand.requeue(4);
    assert_eq!(offered(&mut strand), [4]);
}

#[test]
fn a_restored_page_without_living_messages_takes_no_place() {
    let dead_page = |count: usize| {
        let mut dead = crate::message::Bits::default();
        (0..count).for_each(|index| dead.insert(index));
        let packed = crate::message::Packed::of(&vec![Slot::SKIPPED; count], &dead).unwrap();
        Page::restored(packed, count, dead, crate::message::Bits::default())
    };
    let mut strand = Strand::default();
    strand.restore(0, dead_page(512));
    strand.restore(512, dead_page(512));
    strand.restore(1024, dead_page(3));
    assert_eq!((strand.pages.len(), strand.next_sequence()), (1, 1027));
    strand.push(1027, slot(1027));
    assert_eq!(offered(&mut strand), [1027]);
}

#[test]
fn what_is_kept_back_is_not_offered_and_returns_to_its_place() {
    let mut strand = strand(4);
    strand.hold(1);
    strand.hold(1);
    assert_eq!(offered(&mut strand), [0, 2, 3]);
    strand.hold(2);
    for sequence in [3, 1, 1, 0] {
        strand.unhold(sequence);
    }
    assert_eq!((strand.ready().messages, strand.held().messages), (3, 1));
    assert_eq!(offered(&mut strand), [0, 1, 3]);
    strand.settle(1).unwrap();
    strand.unhold(1);
    assert_eq!(strand.ready().messages, 0);
}

#[test]
fn a_seal_gives_out_what_has_changed_since_the_one_before() {
    let sealed = |strand: &mut Strand| {
        let SealedStrand { pages, gone } = strand.seal(1);
        (pages.into_iter().map(|(first, _)| first).collect::<Vec<_>>(), gone)
    };
    let mut strand = strand(1300);
    assert_eq!(sealed(&mut strand), (vec![0, 512, 1024], vec![]));
    assert!(!strand.is_changed());
    strand.offer().unwrap();
    strand.settle(600).unwrap();
    assert_eq!(sealed(&mut strand), (vec![0, 512], vec![]));
    strand.requeue(0);
    assert!(!strand.is_changed(), "who holds a message is not durable");
    for sequence in (512..1024).filter(|sequence| *sequence != 600) {
        strand.settle(sequence).unwrap();
    }
    strand.push(1300, slot(1300));
    assert_eq!(sealed(&mut strand), (vec![1024], vec![512]));
    strand.push(2000, slot(2000));
    strand.settle(2000).unwrap();
    strand.push(2048, slot(2048));
    assert_eq!(sealed(&mut strand), (vec![2048], vec![]), "no run has heard of the page that came and went");
}

fn packed(strand: &Strand) -> Vec<bool> {
    strand.pages.iter().map(|seat| seat.page().is_some_and(Page::is_packed)).collect()
}

#[test]
fn pages_between_head_and_tail_are_packed_until_their_turn_comes() {
    let mut strand = strand(512 * 6 + 1);
    assert_eq!(packed(&strand), [false, false, true, true, true, true, false]);
    strand.settle(512 * 3).unwrap();
    assert_eq!(packed(&strand), [false, false, true, false, true, true, false]);
    let expected: Vec<u64> = (0..512 * 6 + 1).filter(|sequence| *sequence != 512 * 3).collect();
    assert_eq!(strand.sequenced().map(|(sequence, slot)| (sequence, slot.place)).collect::<Vec<_>>(), {
        expected.iter().map(|sequence| (*sequence, slot(*sequence).place)).collect::<Vec<_>>()
    });
    assert_eq!(offered(&mut strand), expected);
    assert!(!packed(&strand).contains(&true));
    assert_eq!(strand.held(), Volume { messages: 512 * 6, body_bytes: 5120 * 6 });
}

#[test]
fn packed_pages_are_purged_whole() {
    let mut strand = strand(512 * 5 + 1);
    strand.seal(1);
    assert_eq!(strand.purge(512 * 4 + 3, &[512 * 3 + 7], &mut |_| ()), 512 * 4 + 2);
    assert_eq!(strand.ready(), Volume { messages: 511, body_bytes: 5110 });
    assert_eq!(offered(&mut strand)[..2], [512 * 3 + 7, 512 * 4 + 3]);
    assert_eq!(strand.seal(1).gone, [0, 512, 1024]);
}

#[test]
fn what_is_held_is_not_packed() {
    let mut strand = strand(600);
    strand.offer().unwrap();
    strand.pack();
    assert_eq!(packed(&strand), [false, true]);
    strand.requeue(0);
    strand.pack();
    assert_eq!(packed(&strand), [true, true]);
    strand.push(600, slot(600));
    assert_eq!(offered(&mut strand).len(), 601);
}

/// A queue of transient messages has no seals: whatever is noted for the next one has to be bounded without them.
#[test]
fn pages_that_come_and_go_leave_nothing_for_a_seal() {
    let mut strand = Strand::default();
    for number in 0..512 * 20 + 1 {
        strand.push(number, slot(number));
        let offered = strand.offer().unwrap();
        strand.settle(offered.sequence).unwrap();
    }
    assert_eq!((strand.changed.len(), strand.gone.len()), (1, 0));
    let sealed = strand.seal(1);
    assert_eq!((sealed.pages.len(), sealed.gone.len()), (1, 0));
}

/// Else a restart would give them out again.
#[test]
fn sequences_of_pages_that_came_and_went_are_news_for_a_seal() {
    let mut strand = Strand::default();
    strand.seal(1);
    for number in 0..512 {
        strand.push(number, slot(number));
        strand.settle(number).unwrap();
    }
    assert!(strand.pages.is_empty() && strand.changed.is_empty());
    assert!(strand.is_changed());
}

#[test]
fn skipped_sequences_are_dead() {
    let mut strand = strand(3);
    strand.push(700, slot(700));
    assert_eq!(offered(&mut strand), [0, 1, 2, 700]);
    assert!(strand.settle(5).is_none());
}

/// The strand's pages as a run has them.
fn rows(strand: &mut Strand, seal: u64) -> Vec<(u64, Page)> {
    let pages = strand.seal(seal).pages.into_iter();
    pages.map(|(first, page)| (first, page_of_row(&page))).collect()
}

fn page_of_row(sealed: &crate::message::SealedPage) -> Page {
    let slots = sealed.slots();
    let packed = crate::message::Packed::of(&slots, &sealed.dead).unwrap();
    Page::restored(packed, slots.len(), sealed.dead, sealed.delivered)
}

fn cold(strand: &Strand) -> Vec<bool> {
    strand.pages.iter().map(|seat| matches!(seat, Seat::Cold(_))).collect()
}

fn wanted(strand: &mut Strand) -> Vec<u64> {
    let mut wanted = Vec::new();
    strand.want_pages(|first| wanted.push(first));
    wanted
}

#[test]
fn what_a_run_has_leaves_memory_and_comes_back_when_its_turn_comes() {
    let mut strand = strand(512 * 6 + 1);
    assert_eq!(strand.evict(9, u64::MAX, true), 0, "no run has any of it");
    let rows = rows(&mut strand, 1);
    assert_eq!(strand.evict(0, u64::MAX, true), 0, "the run is not written yet");
    assert!(strand.evict(1, u64::MAX, true) > 0);
    assert_eq!(cold(&strand), [false, false, true, true, true, true, false]);
    assert_eq!(wanted(&mut strand), [] as [u64; 0], "two pages are there");
    assert_eq!(offered(&mut strand), (0..1024).collect::<Vec<_>>());
    assert_eq!((strand.next_ready(), strand.first_ready()), (NextReady::Cold, None));
    assert_eq!(wanted(&mut strand), [1024, 1536]);
    assert_eq!(wanted(&mut strand), [] as [u64; 0], "they were asked for");
    for first in [1536, 1024] {
        assert!(strand.install(first, rows[first as usize / 512].1.clone()));
    }
    assert_eq!(strand.next_ready(), NextReady::Message(1024));
    assert_eq!(offered(&mut strand), (1024..2048).collect::<Vec<_>>());
    assert_eq!(wanted(&mut strand), [2048, 2560], "it was missed again, so it looks four pages ahead");
    assert_eq!(strand.ready(), Volume { messages: 1025, body_bytes: 10250 });
}

#[test]
fn what_is_handed_out_next_may_leave_memory_too() {
    let mut strand = strand(512 * 3);
    strand.offer().unwrap();
    let rows = rows(&mut strand, 1);
    strand.evict(1, u64::MAX, false);
    assert_eq!(cold(&strand), [false, true, false], "somebody has a message of the first");
    strand.requeue(0);
    strand.evict(1, u64::MAX, false);
    assert_eq!(cold(&strand), [true, true, false]);
    assert_eq!((strand.next_ready(), strand.held_below(2000)), (NextReady::Cold, vec![]));
    assert_eq!(wanted(&mut strand), [0, 512]);
    assert!(strand.install(0, rows[0].1.clone()));
    let first = strand.offer().unwrap();
    assert_eq!((first.sequence, first.redelivered), (0, true));
}

#[test]
fn only_what_is_as_a_run_has_it_leaves_memory() {
    let mut strand = strand(512 * 6 + 1);
    strand.seal(1);
    strand.settle(512 * 2 + 7).unwrap();
    strand.hold(512 * 3);
    strand.evict(1, u64::MAX, true);
    assert_eq!(cold(&strand), [false, false, false, false, true, true, false]);
    strand.unhold(512 * 3);
    strand.seal(2);
    strand.evict(1, u64::MAX, true);
    assert_eq!(cold(&strand), [false, false, false, true, true, true, false]);
    strand.evict(2, u64::MAX, true);
    assert_eq!(cold(&strand), [false, false, true, true, true, true, false]);
}

#[test]
fn a_page_is_only_put_back_where_it_has_left_and_as_it_was() {
    let mut strand = strand(512 * 4);
    let rows = rows(&mut strand, 1);
    strand.evict(1, u64::MAX, true);
    assert_eq!(cold(&strand), [false, false, true, false]);
    assert!(!strand.install(1024, page_of_row(&Page::new().view())), "messages are missing");
    assert_eq!(strand.cold_pages_of(0, 1025).collect::<Vec<_>>(), [1024]);
    assert_eq!(strand.purge(2048, &[], &mut |_| ()), 2048);
    assert!(strand.install(1024, rows[2].1.clone()), "late, and of no use");
    assert_eq!((strand.ready().messages, strand.cold_pages), (0, 0));
    assert_eq!(strand.seal(2).gone, [0, 512, 1024, 1536]);
}

#[test]
#[should_panic(expected = "page 2 is worked on, and it is not in memory")]
fn nothing_is_done_to_a_page_that_is_not_here() {
    let mut strand = strand(512 * 4);
    strand.seal(1);
    strand.evict(1, u64::MAX, true);
    strand.settle(1024);
}
