//! Addresses that may come and addresses that may not.

use std::net::IpAddr;

use ipnet::IpNet;

/// What a rule says of the addresses in its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They may come.
    Allow,
    /// They may not.
    Deny,
}

/// Rules in the operator's order. The first that fits an address decides; where none does, all are
/// let in unless there is a rule that allows some.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessList {
    rules: Vec<(Verdict, IpNet)>,
}

impl AccessList {
    /// Adds a rule behind the others.
    pub fn push(&mut self, verdict: Verdict, network: IpNet) {
        self.rules.push((verdict, network));
    }

    /// Adds the rules of another list behind these.
    pub fn append(&mut self, mut other: Self) {
        self.rules.append(&mut other.rules);
    }

    /// Whether nobody is kept out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether somebody whose address nobody knows may come: where some are allowed, who is not known to
    /// be among them is not.
    #[must_use]
    pub fn admits_unknown(&self) -> bool {
        self.rules.iter().all(|(verdict, _)| *verdict == Verdict::Deny)
    }

    /// Whether this address may come; IPv4 in IPv6 form is IPv4.
    #[must_use]
    pub fn admits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        match self.rules.iter().find(|(_, network)| network.contains(&address)) {
            Some((verdict, _)) => *verdict == Verdict::Allow,
            None => self.admits_unknown(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(rules: &str) -> AccessList {
        let mut list = AccessList::default();
        for rule in rules.split_whitespace() {
            let (sign, network) = rule.split_at(1);
            let verdict = if sign == "+" { Verdict::Allow } else { Verdict::Deny };
            list.push(verdict, network.parse().unwrap());
        }
        list
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        for (rules, address, admitted) in [
            ("", "192.0.2.1", true),
            ("", "::1", true),
            ("-192.0.2.0/24", "192.0.2.1", false),
            ("-192.0.2.0/24", "::ffff:192.0.2.1", false),
            ("-192.0.2.0/24", "192.0.3.1", true),
            ("-192.0.2.0/24", "::1", true),
            ("+192.0.2.0/24", "192.0.2.255", true),
            ("+192.0.2.0/24", "192.0.3.0", false),
            ("+192.0.2.0/24", "2001:db8::1", false),
            ("-192.0.2.9/32 +192.0.2.0/24", "192.0.2.9", false),
            ("-192.0.2.9/32 +192.0.2.0/24", "192.0.2.8", true),
            ("+192.0.2.0/24 -192.0.2.9/32", "192.0.2.9", true),
            ("+0.0.0.0/0", "::1", false),
            ("+::/0", "192.0.2.1", false),
            ("+::/0 +0.0.0.0/0", "192.0.2.1", true),
            ("-2001:db8::/32", "2001:db8:ffff::1", false),
            ("-2001:db8::/32", "2001:db9::1", true),
        ] {
            assert_eq!(
                list(rules).admits(address.parse().unwrap()),
                admitted,
                "{rules}: {address}"
            );
        }
    }

    #[test]
    fn nobody_knows_whether_the_unknown_is_allowed() {
        for (rules, admitted) in [("", true), ("-::/0 -0.0.0.0/0", true), ("-::/0 +::/0", false)] {
            assert_eq!(list(rules).admits_unknown(), admitted, "{rules}");
        }
    }

    #[test]
    fn rules_of_another_list_come_behind() {
        let mut flags = list("+192.0.2.9/32");
        assert!(list("").is_empty() && !flags.is_empty());
        flags.append(list("-192.0.2.0/24 +198.51.100.0/24"));
        let admits = |address: &str| flags.admits(address.parse().unwrap());
        assert!(admits("192.0.2.9") && !admits("192.0.2.8") && admits("198.51.100.1"));
    }
}
