//! Words of the environment and of records: an enum whose variants each have one.

use std::str::FromStr;

use strum::VariantNames;

/// An enum with one word for each variant. Derive strum's `EnumString`, `IntoStaticStr` and `VariantNames`.
pub(crate) trait Word: Into<&'static str> + FromStr + VariantNames + Copy {
    /// The word of this variant.
    fn word(self) -> &'static str {
        self.into()
    }

    /// The variant that a text names; the error says what is wrong with it, to be read after the variable's name.
    fn named(text: &str) -> Result<Self, String> {
        Self::from_str(text)
            .ok()
            .ok_or_else(|| not_one_of(text, Self::VARIANTS.iter().copied()))
    }
}

impl<T: Into<&'static str> + FromStr + VariantNames + Copy> Word for T {}

/// Says that a text is none of the words.
pub(crate) fn not_one_of<'a>(text: &str, words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<&str> = words.collect();
    format!("{text:?} is not one of {}", words.join(", "))
}

/// The first `most` of a list, and how many more there are.
pub(crate) fn some_of(items: &[impl AsRef<str>], most: usize, separator: &str) -> String {
    let mut named: Vec<&str> = items.iter().take(most).map(AsRef::as_ref).collect();
    let more = items.len().saturating_sub(most);
    let rest = format!("and {more} more");
    if more > 0 {
        named.push(&rest);
    }
    named.join(separator)
}
