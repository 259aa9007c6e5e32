//! The grammar of filters, lent to the dispatcher: the operator's decisions and holds are about what fits.
//!
//! Not here: the grammar itself (`admin::filter`), what is done to whoever fits (`dispatch`).

use super::desk::describe;
use posthaste_admin::filter::{self, Field, Filter, MESSAGE};
use posthaste_admin::view::{MessageObject, Selected};
use posthaste_dispatch::{Dispatch, Mesh, Sieve};
use posthaste_spool::{History, Live};
use std::sync::Arc;

/// The one grammar.
pub(super) struct Grammar;

struct Fits(Filter);

impl Sieve for Grammar {
    fn read(&self, filter: &str) -> Result<Arc<dyn Mesh>, String> {
        match filter::parse(filter, MESSAGE) {
            Ok(filter) => Ok(Arc::new(Fits(filter))),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Mesh for Fits {
    fn text(&self) -> String {
        self.0.to_string()
    }

    fn needs_history(&self) -> bool {
        self.0.mentions(Field::LastError)
    }

    fn fitting(&self, dispatch: &Dispatch, live: &Live, history: &History) -> Vec<u32> {
        let message = describe(dispatch, live.clone(), history);
        let object = MessageObject::of(&message);
        let now = dispatch.now();
        let fits = |number: &u32| {
            let recipient = *number as usize;
            self.0.fits(&Selected { message: &object, recipient }, now)
        };
        let live = (0u32..).zip(&live.states).filter(|(_, state)| state.life.is_live());
        live.map(|(number, _)| number).filter(fits).collect()
    }
}
