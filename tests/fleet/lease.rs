//! How many sessions a token may have, counted in Redis over two bridges.

use super::redis::Redis;
use super::{away, daemon, host, reply, request, session, status};
use crate::common::{Client, Daemon, Peer, eventually};
use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

const KEY: &str = "lease:desk";

/// Who is counted under a key, without those whose time is over, and what time it is there, in ms.
pub(super) fn members(redis: &Redis, key: &str) -> (BTreeSet<String>, u64) {
    let script = "local t = redis.call('TIME') \
        local now = t[1] * 1000 + math.floor(t[2] / 1000) \
        local all = redis.call('ZRANGEBYSCORE', KEYS[1], now, '+inf') \
        table.insert(all, 1, string.format('%.0f', now)) \
        return all";
    let said = redis.ask_for(&["-n", "1", "EVAL", script, "1", key]);
    let (now, all) = said.split_once('\n').unwrap();
    (all.lines().map(str::to_owned).collect(), now.parse().unwrap())
}

/// How many sessions Redis counts.
fn counted(redis: &Redis) -> usize {
    members(redis, KEY).0.len()
}

fn bridges(redis: &Redis, keys: &[&str]) -> [Daemon; 2] {
    let url = redis.url();
    let own = [&[&*url, "ttl=60", "timeout=0.5", "lease-ttl=1"], keys].concat();
    [(); 2].map(|()| daemon("redis", &own, &[]))
}

fn enter(bridge: &Daemon) -> Client {
    session(bridge, &request("/desk", ""))
}

#[test]
fn a_token_has_so_many_sessions_over_all_bridges() {
    let Some(mut redis) = Redis::start() else { return };
    let echo = Peer::echo();
    redis.set(&["-n", "1", "SET", "desk", &host(&echo)]);
    let [one, mut two] = bridges(&redis, &["lease=3"]);
    let mut held = vec![enter(&one), enter(&two), enter(&one)];
    for bridge in [&one, &two] {
        let refusal = reply(bridge, "/desk");
        assert_eq!((refusal.status, &*refusal.rest), (503, &b"all its places are taken\n"[..]));
    }
    assert_eq!(status(&one, "/nobody"), 404, "which takes no place");
    assert_eq!(counted(&redis), 3);
    // Whoever is there stays counted, and one who leaves is not.
    thread::sleep(Duration::from_millis(2500));
    assert_eq!(counted(&redis), 3);
    assert_eq!(held.pop().unwrap().close_now(), Some(1000));
    eventually("there is room", || counted(&redis) == 2);
    held.push(enter(&two));
    assert_eq!(status(&one, "/desk"), 503);
    // What Redis forgets, the bridges tell it again.
    redis.set(&["-n", "1", "DEL", KEY]);
    eventually("it is told again", || counted(&redis) == 3);
    // A bridge that is killed gives its places back in time: it had two.
    two.signal("KILL");
    two.exit_within(Duration::from_secs(10)).unwrap();
    eventually("they are back", || counted(&redis) == 1);
    held.push(enter(&one));
    held.push(enter(&one));
    assert_eq!(status(&one, "/desk"), 503);
    drop(held);
    eventually("all are gone", || counted(&redis) == 0);
    many_come_and_go(&redis, &one);
    // While Redis is away, who is known is let in, and counted once it is back.
    redis.stop();
    let stays = enter(&one);
    thread::sleep(away());
    redis.restart();
    eventually("it is counted", || counted(&redis) == 1);
    drop(stays);
    eventually("it is gone", || counted(&redis) == 0);
}

/// Many come at once and are let in by turns: never more than three, and none is left behind.
fn many_come_and_go(redis: &Redis, bridge: &Daemon) {
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                (0..25).for_each(|_| _ = status(bridge, "/desk"));
            });
        }
        (0..20).for_each(|_| assert!(counted(redis) <= 3));
    });
    eventually("none is left", || counted(redis) == 0);
}

#[test]
fn a_lease_may_be_closed_while_redis_is_away() {
    let Some(mut redis) = Redis::start() else { return };
    let echo = Peer::echo();
    redis.set(&["-n", "1", "SET", "desk", &host(&echo)]);
    let [one, _two] = bridges(&redis, &["lease=3", "lease-failure=closed"]);
    drop(enter(&one));
    redis.stop();
    let refusal = reply(&one, "/desk");
    let reason = String::from_utf8_lossy(&refusal.rest).into_owned();
    assert_eq!((refusal.status, &*reason), (503, "where sessions are counted is away\n"));
    redis.restart();
    redis.set(&["-n", "1", "SET", "desk", &host(&echo)]);
    eventually("it is back", || status(&one, "/desk") == 101);
}
