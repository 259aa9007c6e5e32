//! The languages in which notices are worded, and the operator's own texts.

/// The languages there are. Its [`Default`] has the built-in ones and falls back to English.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Wordings {}
