//! "Did you mean": the known name that a wrong one is closest to.

/// The candidate with the fewest edits from `word`, if at most a third of it (and at least two edits) would
/// have to change.
pub(super) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).max(2);
    let near = candidates.map(|candidate| (edits(word, candidate), candidate));
    near.filter(|(edits, _)| *edits <= allowed).min().map(|(_, candidate)| candidate)
}

/// Edit distance (Levenshtein 1966): insertions, deletions and replacements that make `a` into `b`.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        for (a, b, expected) in
            [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("flaw", "lawn", 2), ("ü", "u", 1)]
        {
            assert_eq!((edits(a, b), edits(b, a)), (expected, expected), "{a} {b}");
        }
    }

    #[test]
    fn what_is_far_from_everything_has_no_nearest() {
        let keys = ["websocket.ping_interval", "message.max_size"];
        assert_eq!(nearest("websocket.pingintervall", keys.into_iter()), Some(keys[0]));
        assert_eq!(nearest("database.url", keys.into_iter()), None);
    }
}
