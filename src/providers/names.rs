//! Names that people use for voices and avatars, matched to an entry of an upstream's list.
//!
//! Services want ids; callers say `Rachel`, `kate` or `female`. A name in the catalogue may end in a gender, "Kate
//! (female)": then anybody of that gender stands in where the list has nobody of that name.

/// What an entry of a list is known by.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The upstream's id.
    pub id: &'a str,
    /// Its name for people.
    pub name: &'a str,
    /// Its gender, in the upstream's words.
    pub gender: Option<&'a str>,
}

impl Entry<'_> {
    fn read_gender(self) -> Option<Gender> {
        self.gender.and_then(Gender::read)
    }
}

/// The entry that is meant: by id, by whole name, by the beginning of a name, by gender; the first in the list's order.
/// Where a gender is asked for and nobody has it, one whose gender is not told will do.
pub fn find<'a, T>(list: &'a [T], asked: &str, entry: impl Fn(&'a T) -> Entry<'a>) -> Option<&'a T> {
    let (name, gender) = parts(asked);
    let first = |fits: &dyn Fn(Entry<'a>) -> bool| list.iter().find(|item| fits(entry(item)));
    first(&|entry| entry.id == asked)
        .or_else(|| first(&|entry| same(entry.name, asked)))
        .or_else(|| first(&|entry| name.is_some_and(|name| same(entry.name, name))))
        .or_else(|| first(&|entry| name.is_some_and(|name| begins(entry.name, name))))
        .or_else(|| gender.and_then(|wanted| first(&|entry| entry.read_gender() == Some(wanted))))
        .or_else(|| gender.and_then(|_| first(&|entry| entry.read_gender().is_none())))
}

/// A gender, as far as a list of voices or avatars tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gender {
    /// Female.
    Female,
    /// Male.
    Male,
}

impl Gender {
    fn read(word: &str) -> Option<Self> {
        match word.trim().to_lowercase().as_str() {
            "female" | "woman" | "f" => Some(Self::Female),
            "male" | "man" | "m" => Some(Self::Male),
            _ => None,
        }
    }
}

/// The name and the gender in what was asked for: "Kate (female)" has both, "female" only the latter.
pub fn parts(asked: &str) -> (Option<&str>, Option<Gender>) {
    let asked = asked.trim();
    if let Some(gender) = Gender::read(asked) {
        return (None, Some(gender));
    }
    let bracket = asked.strip_suffix(')').and_then(|rest| rest.rsplit_once('('));
    match bracket.and_then(|(name, word)| Some((name.trim(), Gender::read(word)?))) {
        Some((name, gender)) => (Some(name), Some(gender)),
        None => (Some(asked), None),
    }
}

fn same(name: &str, asked: &str) -> bool {
    name.trim().to_lowercase() == asked.trim().to_lowercase()
}

/// "Sarah - Mature, Reassuring" begins with "sarah", "Sarahbeth" does not.
fn begins(name: &str, asked: &str) -> bool {
    let (name, asked) = (name.trim().to_lowercase(), asked.to_lowercase());
    !asked.is_empty()
        && name.strip_prefix(&asked).is_some_and(|rest| rest.chars().next().is_some_and(|next| !next.is_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Row = (&'static str, &'static str, Option<&'static str>);

    const LIST: &[Row] = &[
        ("v1", "Marcus", Some("male")),
        ("v2", "Sarah - Mature, Reassuring", Some("female")),
        ("v3", "Katherine", Some("Female")),
        ("v4", "Kate in Office", Some("female")),
    ];

    const UNTOLD: &[Row] = &[("v1", "Bob", Some("male")), ("v2", "Ash", None)];

    fn found(asked: &str) -> Option<&'static str> {
        find(LIST, asked, |(id, name, gender)| Entry { id, name, gender: *gender }).map(|row| row.0)
    }

    #[test]
    fn ids_and_names_are_found_whatever_their_case() {
        assert_eq!(found("v3"), Some("v3"));
        assert_eq!(found("marcus"), Some("v1"));
        assert_eq!(found("SARAH"), Some("v2"));
        assert_eq!(found("kate"), Some("v4"));
        assert_eq!(found("kat"), None);
        assert_eq!(found(""), None);
    }

    #[test]
    fn a_gender_finds_a_stand_in() {
        assert_eq!(found("female"), Some("v2"));
        assert_eq!(found("Kate (female)"), Some("v4"));
        assert_eq!(found("Nobody (male)"), Some("v1"));
        assert_eq!(found("Nobody"), None);
        let entry = |row: &'static Row| Entry { id: row.0, name: row.1, gender: row.2 };
        assert_eq!(find(UNTOLD, "female", entry).map(|row| row.0), Some("v2"));
        assert_eq!(find(&UNTOLD[..1], "female", entry), None);
    }
}
