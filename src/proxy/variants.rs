//! Which variants of a resource serve a request.
//!
//! Where a route codes for clients, `Accept-Encoding` chooses among codings and nothing else,
//! whatever the origin's `Vary` says or leaves out: a response varies by it exactly if the origin
//! has coded it. One in identity serves everybody, and is coded here. One that is coded serves
//! those who take what it was chosen from, and those who take less, but that coding.

use super::context::Journey;
use super::onward::Onward;
use crate::object::{CacheKey, ObjectHead, PrimaryKey, Selection, Variant, VarySpec};
use crate::semantics::coding::Taken;
use crate::store::{Lookup, Store};

impl Onward<'_> {
    /// Finds what is stored for this request.
    #[inline]
    pub(super) fn look_up(&self, store: &Store, primary: PrimaryKey) -> Lookup {
        match store.lookup(primary, |spec, out| self.select(spec, out)) {
            Lookup::Missing(key) => {
                self.look_wider(store, primary, key).unwrap_or(Lookup::Missing(key))
            }
            lookup => lookup,
        }
    }

    /// Finds what the origin has chosen for those who take more codings, if it is taken here.
    #[cold]
    fn look_wider(&self, store: &Store, primary: PrimaryKey, own: CacheKey) -> Option<Lookup> {
        self.wider()
            .map(|taken| store.lookup(primary, |spec, out| self.select_as(Some(taken), spec, out)))
            // Where it does not vary by coding, it is missing for them as well.
            .take_while(|lookup| lookup.key() != own)
            .find(|lookup| matches!(lookup, Lookup::Found(_, stored) if self.takes(&stored.head)))
    }

    /// Whether a response is this request's variant.
    pub(super) fn selects(&self, variant: Option<&Variant>, head: &ObjectHead) -> bool {
        let Some(Variant { spec, selection }) = variant else { return true };
        let is_of = |taken| {
            let mut own = Selection::new();
            self.select_as(taken, spec, &mut own);
            own == *selection
        };
        is_of(self.taken()) || self.takes(head) && self.wider().any(|taken| is_of(Some(taken)))
    }

    /// By which fields a response varies whose `Vary` names those of `told`.
    pub(super) fn selecting(&self, told: VarySpec, head: &ObjectHead) -> VarySpec {
        match self.taken() {
            Some(_) => told.by_coding(coding_of(head).is_some()),
            None => told,
        }
    }

    fn wider(&self) -> impl Iterator<Item = Taken> {
        self.taken().into_iter().flat_map(Taken::wider)
    }

    fn takes(&self, head: &ObjectHead) -> bool {
        let taken = self.taken().unwrap_or(Taken::NONE);
        coding_of(head).is_some_and(|coding| taken.takes(coding))
    }
}

impl Journey {
    /// Finds what is stored for this request, without a use of it.
    pub(super) async fn glance(&self) -> Lookup {
        let store = &self.proxy.store;
        let lookup = store.glance(self.primary, |spec, out| self.select(spec, out)).await;
        let Lookup::Missing(own) = lookup else { return lookup };
        let wider: Vec<_> = self.onward().wider().collect();
        for taken in wider {
            let select = |spec: &VarySpec, out: &mut Selection| {
                self.onward().select_as(Some(taken), spec, out);
            };
            match store.glance(self.primary, select).await {
                Lookup::Found(key, stored) if self.onward().takes(&stored.head) => {
                    return Lookup::Found(key, stored);
                }
                lookup if lookup.key() == own => break,
                _ => {}
            }
        }
        Lookup::Missing(own)
    }
}

fn coding_of(head: &ObjectHead) -> Option<&[u8]> {
    head.fields().find_map(|(name, value)| (name == "content-encoding").then_some(value))
}
