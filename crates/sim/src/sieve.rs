//! A grammar of filters for stories: a filter is a piece of text that a recipient's address contains; one that begins
//! with `?` has no meaning.

use posthaste_dispatch::{Dispatch, Mesh, Sieve};
use posthaste_spool::{History, Live};
use std::sync::Arc;

/// Finds pieces of addresses.
pub(crate) struct Addresses;

struct Piece(String);

impl Sieve for Addresses {
    fn read(&self, filter: &str) -> Result<Arc<dyn Mesh>, String> {
        match filter.strip_prefix('?') {
            Some(_) => Err("column 1: a filter does not begin with `?`".to_owned()),
            None => Ok(Arc::new(Piece(filter.to_owned()))),
        }
    }
}

impl Mesh for Piece {
    fn text(&self) -> String {
        self.0.clone()
    }

    fn needs_history(&self) -> bool {
        false
    }

    fn fitting(&self, _: &Dispatch, live: &Live, _: &History) -> Vec<u32> {
        let recipients = (0u32..).zip(&live.envelope.recipients);
        let fits = recipients.filter(|(_, r)| r.mailbox.as_str().contains(&self.0));
        fits.map(|(number, _)| number).collect()
    }
}
