//! In which order servers are tried (RFC 2782, "Usage rules").

use crate::records::Server;

/// The most peers that the core takes.
const MOST: usize = 16;

/// The addresses of some servers, with blanks between them: the lowest priority first, and of one
/// priority each the likelier the higher its weight; `random` makes a number from 0 to its argument.
pub(crate) fn order(servers: &[Server], mut random: impl FnMut(u32) -> u32) -> String {
    let mut left: Vec<&Server> = servers.iter().collect();
    // Those of weight 0 come first in the sums, so that they have a small chance.
    left.sort_by_key(|server| (server.priority, server.weight != 0));
    let mut addresses = Vec::new();
    while let Some(first) = left.first() {
        let same = left.iter().take_while(|server| server.priority == first.priority).count();
        let weights = left.iter().take(same).map(|server| u32::from(server.weight));
        let chosen = random(weights.clone().sum());
        let sums = weights.scan(0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        });
        let place = sums.take_while(|sum| *sum < chosen).count().min(same - 1);
        addresses.extend(left.remove(place).addresses.iter().map(String::as_str));
    }
    addresses.truncate(MOST);
    addresses.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(priority: u16, weight: u16, address: &str) -> Server {
        Server { priority, weight, addresses: vec![address.into()] }
    }

    #[test]
    fn the_lowest_priority_is_first_and_the_weight_is_a_share() {
        let all = [server(2, 9, "d"), server(1, 0, "a"), server(1, 3, "c"), server(1, 1, "b")];
        for (numbers, expected) in [
            // Of one priority: a is 0, c up to 3, b is 4; what is left is summed up anew.
            ([0, 0, 0, 0], "a c b d"),
            ([1, 0, 0, 9], "c a b d"),
            ([3, 1, 0, 0], "c b a d"),
            ([4, 3, 0, 0], "b c a d"),
        ] {
            let mut numbers = numbers.into_iter();
            let mut sums = Vec::new();
            let made = order(&all, |most| {
                sums.push(most);
                numbers.next().unwrap()
            });
            assert_eq!(made, expected);
            assert_eq!((sums[0], sums[3]), (4, 9), "{sums:?}");
        }
    }

    #[test]
    fn shares_are_those_of_the_weights() {
        let all = [server(0, 1, "a"), server(0, 3, "b")];
        let first = |number| order(&all, |most| number % (most + 1)).starts_with('a');
        // RFC 2782 draws from 0 to the sum, both included: 0 and 1 are a's, 2 to 4 are b's.
        assert_eq!((0..5).filter(|number| first(*number)).count(), 2);
    }

    #[test]
    fn no_more_than_the_core_takes() {
        let all: Vec<_> = (0..40).map(|at| server(at, 0, &at.to_string())).collect();
        let made = order(&all, |_| 0);
        assert_eq!(made.split(' ').count(), MOST);
        assert!(made.starts_with("0 1 2 ") && made.ends_with(" 15"));
        assert_eq!(order(&[], |_| 0), "");
    }
}
