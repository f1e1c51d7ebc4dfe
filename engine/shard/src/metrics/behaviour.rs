//! How the clients of a shard behave: how old their connections are, and who is suspicious.

use crate::policy::suspicion::Suspect;

/// How the clients of one shard behave, or of several together.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Behaviour {
    /// How old connections are that carry a client's messages.
    pub ages: Ages,
    /// Who is suspicious, the worst first.
    pub suspects: Vec<Suspect>,
}

/// Connections by their age.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Ages {
    /// Under an hour.
    #[serde(rename = "0-1h")]
    pub first_hour: u64,
    /// One to six hours.
    #[serde(rename = "1-6h")]
    pub hours: u64,
    /// Six to 24 hours.
    #[serde(rename = "6-24h")]
    pub day: u64,
    /// From 24 hours on.
    #[serde(rename = "24h+")]
    pub longer: u64,
}

impl Ages {
    /// Counts a connection of as many seconds.
    pub fn count(&mut self, seconds: u32) {
        *match seconds / 3_600 {
            0 => &mut self.first_hour,
            1..6 => &mut self.hours,
            6..24 => &mut self.day,
            _ => &mut self.longer,
        } += 1;
    }
}

impl Behaviour {
    /// Adds what another shard says, and keeps the worst `most`.
    pub fn add(&mut self, other: Behaviour, most: usize) {
        self.ages.first_hour += other.ages.first_hour;
        self.ages.hours += other.ages.hours;
        self.ages.day += other.ages.day;
        self.ages.longer += other.ages.longer;
        self.suspects.extend(other.suspects);
        self.suspects.sort_by(|one, other| other.score.total_cmp(&one.score).then(one.who.cmp(&other.who)));
        self.suspects.truncate(most);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn ages_and_scores_of_shards_are_put_together() {
        let suspect = |who: &str, score| Suspect {
            who: who.into(),
            kind: "client",
            score,
            refused_for: 0,
            offences: BTreeMap::new(),
        };
        let mut all = Behaviour { suspects: vec![suspect("a", 1.0)], ..Behaviour::default() };
        let mut other =
            Behaviour { suspects: vec![suspect("c", 1.0), suspect("b", 2.0)], ..Behaviour::default() };
        for seconds in [0, 3_599, 3_600, 21_600, 86_399, 86_400] {
            other.ages.count(seconds);
        }
        all.add(other, 2);
        assert_eq!(all.ages, Ages { first_hour: 2, hours: 1, day: 2, longer: 1 });
        assert_eq!(all.suspects.iter().map(|suspect| &*suspect.who).collect::<Vec<_>>(), ["b", "a"]);
    }
}
