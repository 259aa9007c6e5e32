//! Recipients of which the same is to be said, so that a notice about many stays short: they share the words, and where only
//! the replies differ, each reply has its recipient in front.

use super::letter::Block;

/// The most groups that are told apart; the part for machines tells of all.
const MAX_GROUPS: usize = 10;
/// The most replies of one group.
const MAX_REPLIES: usize = 12;

/// Recipients and what is said of them.
pub(super) struct Group {
    pub(super) addresses: Vec<String>,
    pub(super) said: Vec<Block>,
    /// Per recipient: the lines of each quote.
    quotes: Vec<Vec<Vec<String>>>,
}

/// Groups of addresses with what is to be said of each, in order; then the addresses that are in none, as there are too many.
pub(super) fn groups(all: impl Iterator<Item = (String, Vec<Block>)>) -> (Vec<Group>, Vec<String>) {
    let mut groups: Vec<Group> = Vec::new();
    let mut rest = Vec::new();
    for (address, said) in all {
        let quotes = said.iter().filter_map(quote).cloned().collect();
        match groups.iter().position(|group| alike(&group.said, &said)) {
            Some(i) => {
                let group = &mut groups[i];
                group.addresses.push(address);
                group.quotes.push(quotes);
            }
            None if groups.len() < MAX_GROUPS => {
                groups.push(Group { addresses: vec![address], said, quotes: vec![quotes] });
            }
            None => rest.push(address),
        }
    }
    groups.iter_mut().for_each(Group::merge);
    (groups, rest)
}

impl Group {
    fn merge(&mut self) {
        let mut number = 0;
        for block in &mut self.said {
            let Block::Quote(_, lines) = block else { continue };
            if self.quotes.iter().any(|quotes| quotes[number] != *lines) {
                let each = self.addresses.iter().zip(&self.quotes).flat_map(|(address, quotes)| {
                    quotes[number].iter().map(move |line| format!("{address}: {line}"))
                });
                let mut each: Vec<_> = each.take(MAX_REPLIES + 1).collect();
                if each.len() > MAX_REPLIES {
                    each[MAX_REPLIES] = "[...]".to_owned();
                }
                *lines = each;
            }
            number += 1;
        }
    }
}

/// The same but for what is quoted.
fn alike(a: &[Block], b: &[Block]) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|two| match two {
            (Block::Quote(a, _), Block::Quote(b, _)) => a == b,
            (a, b) => a == b,
        })
}

const fn quote(block: &Block) -> Option<&Vec<String>> {
    match block {
        Block::Quote(_, lines) => Some(lines),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(words: &str, reply: &str) -> Vec<Block> {
        let words = Block::Words(words.to_owned());
        vec![words, Block::Quote("Its answer was".to_owned(), vec![reply.to_owned()])]
    }

    fn one(number: usize, words: &str, reply: &str) -> (String, Vec<Block>) {
        (format!("{number}@x"), said(words, reply))
    }

    #[test]
    fn what_is_alike_is_said_once() {
        let all = [one(1, "a", "no"), one(2, "b", "no"), one(3, "a", "no"), one(4, "b", "never")];
        let (groups, rest) = groups(all.into_iter());
        assert!(rest.is_empty());
        let [a, b] = &groups[..] else { panic!("{} groups", groups.len()) };
        assert_eq!((&a.addresses, &a.said), (&vec!["1@x".into(), "3@x".into()], &said("a", "no")));
        assert_eq!(b.addresses, ["2@x", "4@x"]);
        assert_eq!(quote(&b.said[1]), Some(&vec!["2@x: no".into(), "4@x: never".into()]));
    }

    #[test]
    fn many_are_told_in_part() {
        let all = (0..100).map(|i| one(i, &(i % 20).to_string(), &i.to_string()));
        let (some, rest) = groups(all);
        assert_eq!((some.len(), rest.len()), (MAX_GROUPS, 50));
        let all = (0..100).map(|i| one(i, "a", &i.to_string()));
        let (some, rest) = groups(all);
        let replies = quote(&some[0].said[1]).expect("it quotes");
        assert_eq!((some.len(), rest.len(), replies.len()), (1, 0, MAX_REPLIES + 1));
        assert_eq!(replies[MAX_REPLIES], "[...]");
    }
}
