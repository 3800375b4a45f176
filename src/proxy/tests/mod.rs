//! Journeys of requests, from the request handed in to the last byte of the response.

mod compress;
mod flights;
mod rules;
mod shaken;
mod shared;
mod slices;
mod stale;
mod tags;
mod tier;
mod world;
