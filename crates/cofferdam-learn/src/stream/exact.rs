//! Floats as the shortest text that reads back as the same bits. JSON numbers may be off by one unit in
//! the last place after a trip, and cannot hold an infinity.

use serde::{Deserialize, Deserializer, Serializer, de};

/// Writes a float.
pub(crate) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Reads a float.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(de::Error::custom)
}

/// The same for lists.
pub(crate) mod list {
    use serde::{Deserialize, Deserializer, Serializer, de};

    /// Writes a list of floats as one text, separated by spaces.
    pub(crate) fn serialize<'a, S: Serializer, L>(list: &'a L, to: S) -> Result<S::Ok, S::Error>
    where
        &'a L: IntoIterator<Item = &'a f64>,
    {
        let words: Vec<String> = list.into_iter().map(f64::to_string).collect();
        to.serialize_str(&words.join(" "))
    }

    /// Reads a list of floats.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>, L>(from: D) -> Result<L, D::Error>
    where
        L: FromIterator<f64>,
    {
        let text = String::deserialize(from)?;
        text.split_whitespace().map(|it| it.parse().map_err(de::Error::custom)).collect()
    }
}
