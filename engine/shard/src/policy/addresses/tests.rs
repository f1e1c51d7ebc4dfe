use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::super::Census;
use super::*;

const SECOND: u64 = 1_000_000_000;

const OFF: Rate = Rate::new(0.0, 1);

/// At most `max` connections; rates are off.
fn at_most(max: u32) -> Network {
    Network { connections_per_ip_max: max, handshake_rate: OFF, request_rate: OFF, ..Network::default() }
}

#[derive(Clone, Debug)]
enum Step {
    Enter(u32),
    Borrow(u32),
    /// Of the connections there are, by position modulo their number.
    Leave(usize),
    Wait(u64),
    Sweep,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u32..6).prop_map(Step::Enter),
        1 => (0_u32..6).prop_map(Step::Borrow),
        3 => any::<usize>().prop_map(Step::Leave),
        1 => (0..3 * SECOND).prop_map(Step::Wait),
        1 => Just(Step::Sweep),
    ]
}

proptest! {
    /// Whatever comes and goes: an address gets in if and only if it has fewer connections than it may, changes
    /// add up to what there is, and when all have left nothing is kept.
    #[test]
    fn each_address_has_its_own_count(max in 1_u32..5, steps in prop::collection::vec(step(), 0..300)) {
        let limits = at_most(max);
        let mut addresses = Addresses::new(1);
        let mut now = Instant(SECOND);
        let mut open: Vec<(u32, Peer)> = Vec::new();
        let mut told: BTreeMap<Source, i32> = BTreeMap::new();
        let mut tell = |addresses: &mut Addresses| {
            for (source, change) in addresses.changes() {
                *told.entry(source).or_default() += change;
            }
            told.clone()
        };
        for step in steps {
            let has = |of: u32| open.iter().filter(|(source, _)| *source == of).count() as u32;
            match step {
                Step::Enter(of) | Step::Borrow(of) => {
                    let source = Some(Source::V4(of));
                    let entered = match step {
                        Step::Borrow(_) => addresses.borrow(source, &limits, now),
                        _ => addresses.enter(source, &limits, now),
                    };
                    prop_assert_eq!(entered.is_ok(), has(of) < max, "{} has {}", of, has(of));
                    if let Ok(peer) = entered {
                        prop_assert!(peer.counts() && addresses.is(peer, source));
                        prop_assert_eq!(peer.is_proxied(), matches!(step, Step::Borrow(_)));
                        open.push((of, peer));
                    }
                }
                Step::Leave(at) if !open.is_empty() => {
                    let (_, peer) = open.swap_remove(at % open.len());
                    addresses.leave(peer);
                }
                Step::Leave(_) => {}
                Step::Wait(span) => now = Instant(now.0 + span),
                Step::Sweep => addresses.sweep(&limits, now),
            }
            prop_assert_eq!(addresses.connections(), open.len() as u64);
        }
        let sums = tell(&mut addresses);
        for of in 0..6 {
            let has = open.iter().filter(|(source, _)| *source == of).count();
            prop_assert_eq!(sums.get(&Source::V4(of)).map_or(0, |sum| *sum as usize), has);
        }
        for (_, peer) in open {
            addresses.leave(peer);
        }
        prop_assert!(tell(&mut addresses).values().all(|sum| *sum == 0));
        addresses.sweep(&limits, Instant(now.0 + 60 * SECOND));
        prop_assert_eq!((addresses.by_source.len(), addresses.free.len()), (0, addresses.places.len() - 1));
    }

    /// Three shards, of which the first is the home, with letters that take their time: nobody is refused before
    /// the sum was at the bound, when all letters are there the bound holds exactly, and when all have left the
    /// home has forgotten.
    #[test]
    fn the_sum_over_shards_is_bounded(
        max in 1_u32..6,
        steps in prop::collection::vec((0_usize..3, 0_u8..8), 0..200),
    ) {
        let (limits, now, source) = (at_most(max), Instant(SECOND), Source::V4(9));
        let mut shards: Vec<Addresses> = (0..3).map(Addresses::new).collect();
        let mut census = Census::new(5);
        let (mut up, mut down) = (VecDeque::new(), vec![VecDeque::new(); 3]);
        let mut open: Vec<Vec<Peer>> = vec![Vec::new(); 3];
        let mut peak = 0;
        for (shard, deed) in steps {
            match deed {
                0..=3 => match shards[shard].enter(Some(source), &limits, now) {
                    Ok(peer) => open[shard].push(peer),
                    Err(_) => prop_assert!(peak >= max as usize, "refused with {} at the most", peak),
                },
                4..=5 => if let Some(peer) = open[shard].pop() {
                    shards[shard].leave(peer);
                },
                6 => {
                    up.extend(shards[shard].changes());
                    if let Some((source, change)) = up.pop_front() {
                        census.count(source, change);
                        for news in census.news(max) {
                            down.iter_mut().for_each(|letters| letters.push_back(news));
                        }
                    }
                }
                _ => if let Some((source, full)) = down[shard].pop_front() {
                    shards[shard].set_full(source, full, &limits, now);
                },
            }
            peak = peak.max(open.iter().map(Vec::len).sum());
        }
        let mut settle = |shards: &mut Vec<Addresses>, census: &mut Census| {
            up.extend(shards.iter_mut().flat_map(Addresses::changes));
            for (source, change) in up.drain(..) {
                census.count(source, change);
                for news in census.news(max) {
                    down.iter_mut().for_each(|letters| letters.push_back(news));
                }
            }
            for (shard, letters) in shards.iter_mut().zip(&mut down) {
                letters.drain(..).for_each(|(source, full)| shard.set_full(source, full, &limits, now));
            }
        };
        settle(&mut shards, &mut census);
        let sum = open.iter().map(Vec::len).sum::<usize>();
        prop_assert_eq!(census.connections(), sum as u64);
        for shard in &mut shards {
            let probe = shard.borrow(Some(source), &limits, now);
            prop_assert_eq!(probe.is_ok(), sum < max as usize);
            probe.into_iter().for_each(|peer| shard.leave(peer));
        }
        for (shard, origins) in shards.iter_mut().zip(open) {
            origins.into_iter().for_each(|peer| shard.leave(peer));
        }
        settle(&mut shards, &mut census);
        prop_assert_eq!(census.connections(), 0);
        let later = Instant(3_600 * SECOND);
        for shard in &mut shards {
            shard.sweep(&limits, later);
            prop_assert_eq!(shard.by_source.len(), 0, "nothing is kept of who has left");
        }
    }
}

#[test]
fn connections_are_opened_at_the_rate_that_is_allowed() {
    let rate = Rate::new(10.0, 3);
    let limits = Network { handshake_rate: rate, ..at_most(0) };
    let mut addresses = Addresses::new(1);
    let mut enter = |now| addresses.enter(Some(Source::V6(1)), &limits, Instant(now)).map(Peer::counts);
    assert_eq!([enter(0), enter(0), enter(0)], [Ok(true); 3]);
    let retry_after = Duration::from_millis(100);
    assert_eq!(enter(0), Err(Refusal::TooFast { retry_after }));
    assert_eq!(enter(SECOND / 10), Ok(true));
}

#[test]
fn who_does_not_listen_is_not_answered_any_more() {
    let limits = at_most(1);
    let mut addresses = Addresses::new(1);
    let source = Some(Source::V4(7));
    let mut enter = |now| addresses.enter(source, &limits, Instant(now));
    assert!(enter(0).is_ok());
    for _ in 0..REFUSALS.burst {
        assert_eq!(enter(0), Err(Refusal::TooMany { retry_after: RETRY }));
    }
    assert_eq!(enter(0), Err(Refusal::Silent));
    assert_eq!(enter(SECOND), Err(Refusal::TooMany { retry_after: RETRY }));
}

#[test]
fn requests_have_a_bucket_for_each_address_and_none_for_who_is_free() {
    let limits = at_most(0);
    let rate = Rate::new(1.0, 2);
    let mut addresses = Addresses::new(1);
    let one = addresses.enter(Some(Source::V4(1)), &limits, Instant(0)).expect("let in");
    let same = addresses.borrow(Some(Source::V4(1)), &limits, Instant(0)).expect("let in");
    let other = addresses.enter(Some(Source::V4(2)), &limits, Instant(0)).expect("let in");
    let mut take = |peer| matches!(addresses.take_request(peer, &rate, Instant(0)), Verdict::Allow { .. });
    assert_eq!([take(one), take(same), take(one), take(other)], [true, true, false, true]);
    assert!((0..100).all(|_| take(Peer::FREE) && take(Peer::PROXY)));
}

#[test]
fn beyond_the_places_there_are_strangers_share_one() {
    let limits = at_most(2);
    let mut addresses = Addresses::new(1);
    for of in 0..PLACES_MAX as u32 {
        addresses.enter(Some(Source::V4(of)), &limits, Instant(0)).expect("let in");
    }
    let mut enter = |of| addresses.enter(Some(Source::V6(of)), &limits, Instant(0)).is_ok();
    assert_eq!([enter(1), enter(2), enter(3)], [true, true, false]);
    assert!(addresses.enter(None, &limits, Instant(0)).is_err(), "and so do those without a name");
    assert!(addresses.enter(Some(Source::V4(1)), &limits, Instant(0)).is_ok(), "who has a place keeps it");
}

#[test]
fn a_connection_counts_where_it_is() {
    let limits = at_most(1);
    let (mut here, mut there) = (Addresses::new(1), Addresses::new(2));
    let source = Some(Source::V4(1));
    let peer = here.enter(source, &limits, Instant(0)).expect("let in");
    let whence = here.whence(peer);
    here.leave(peer);
    let arrived = there.arrive(whence, &limits, Instant(0));
    assert!(there.is(arrived, source) && !arrived.is_proxied());
    assert_eq!((here.connections(), there.connections()), (0, 1));
    for peer in [Peer::FREE, Peer::PROXY] {
        assert_eq!(there.arrive(here.whence(peer), &limits, Instant(0)), peer);
    }
    let borrowed = here.borrow(None, &limits, Instant(0)).expect("let in");
    let stranger = there.arrive(here.whence(borrowed), &limits, Instant(0));
    assert!(stranger.is_proxied() && there.is(stranger, None) && stranger.counts());
}
