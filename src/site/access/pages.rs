//! Pages in the place of errors. Pure, but for reading them.

use std::io;

use bytes::Bytes;

use crate::config::site::Statuses;
use crate::config::site::pages::{ErrorPages, Maintenance, read_page};

/// The body of an error.
#[derive(Clone, Debug)]
pub struct Page {
    /// What kind it is.
    pub content_type: String,
    /// What it says.
    pub body: Bytes,
}

/// The pages of a route.
#[derive(Debug)]
pub(super) struct Pages {
    /// Those of single statuses stand before those of classes.
    pages: Vec<(Statuses, Page)>,
    /// Whether errors of the origin get them too.
    pub(super) of_origin: bool,
}

impl Pages {
    /// The pages of a route; `None` where it has none.
    pub(super) fn read(pages: &ErrorPages) -> io::Result<Option<Self>> {
        let read = |(statuses, file)| {
            let body = read_page(file)?.into();
            Ok((statuses, Page { content_type: pages.content_type.clone(), body }))
        };
        let of_origin = pages.origin;
        let pages: Vec<_> = pages.files.iter().map(read).collect::<io::Result<_>>()?;
        Ok((!pages.is_empty()).then_some(Self { pages, of_origin }))
    }

    pub(super) fn of(&self, status: u16) -> Option<&Page> {
        let takes = |statuses: &Statuses| match *statuses {
            Statuses::One(one) => one == status,
            Statuses::Class(class) => class == status / 100,
        };
        self.pages.iter().find(|(statuses, _)| takes(statuses)).map(|(_, page)| page)
    }
}

/// The page of a route that is closed, if it has one of its own.
pub(super) fn maintenance_page(maintenance: &Maintenance) -> io::Result<Option<Page>> {
    let Some(file) = maintenance.page.as_ref().filter(|_| maintenance.enabled) else {
        return Ok(None);
    };
    let content_type = maintenance.content_type.clone();
    Ok(Some(Page { content_type, body: read_page(file)?.into() }))
}
