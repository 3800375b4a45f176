//! The disk tier: segment files, read through memory maps.

#![allow(dead_code, reason = "the tier that reads through the maps is built on top of them")]

mod map;
