//! How a section is declared: each key once, with its type, default, rule and sentence.
//!
//! ```ignore
//! section! {
//!     /// What this node keeps.
//!     pub struct Cache {
//!         /// Memory for stored responses.
//!         memory: ByteSize = ByteSize::gib(1), Within(ByteSize::mib(1)..=ByteSize::tib(16));
//!     }
//! }
//! ```
//!
//! makes the struct with its documented fields, its `Default`, its reader and its rows of
//! `config/reference.toml`.

use super::reader::Table;
use super::reference::Keys;

/// A table of the config whose keys are known.
pub(super) trait Section: Clone + Default {
    /// One sentence about the table.
    const ABOUT: &'static str;

    /// Reads each key; what is left out is as in `base`.
    fn read_from(table: &mut Table<'_>, base: &Self) -> Self;

    /// Lists each key.
    fn rows(list: &mut Keys);
}

/// Declares a [`Section`]: `name: Type = default;` or `name: Type = default, rule;`.
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        pub struct $Section:ident {
            $( $(#[doc = $doc:literal])+ $field:ident: $Type:ty = $default:expr $(, $rule:expr)?; )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq)]
        pub struct $Section {
            $( $(#[doc = $doc])+ pub $field: $Type, )+
        }

        impl Default for $Section {
            fn default() -> Self {
                Self { $( $field: $default, )+ }
            }
        }

        impl $crate::config::section::Section for $Section {
            const ABOUT: &'static str = concat!($($about),+);

            fn read_from(table: &mut $crate::config::reader::Table<'_>, base: &Self) -> Self {
                Self {
                    $( $field: table.key(
                        stringify!($field),
                        &base.$field,
                        &$crate::config::section::rule!($($rule)?),
                    ), )+
                }
            }

            fn rows(list: &mut $crate::config::reference::Keys) {
                let default = Self::default();
                $( list.key(
                    stringify!($field),
                    concat!($($doc),+),
                    &default.$field,
                    &$crate::config::section::rule!($($rule)?),
                ); )+
            }
        }
    };
}

macro_rules! rule {
    () => {
        $crate::config::rule::Anything
    };
    ($rule:expr) => {
        $rule
    };
}

/// Declares an enum that a config writes as one of a few words; the first is the default.
macro_rules! choice {
    (
        $(#[doc = $about:literal])+
        pub enum $Choice:ident {
            $(#[doc = $first_doc:literal])+ $First:ident = $first_word:literal,
            $( $(#[doc = $doc:literal])+ $Variant:ident = $word:literal, )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub enum $Choice {
            $(#[doc = $first_doc])+ #[default] $First,
            $( $(#[doc = $doc])+ $Variant, )+
        }

        impl $Choice {
            /// The word that a config writes.
            pub const fn as_str(self) -> &'static str {
                match self {
                    Self::$First => $first_word,
                    $( Self::$Variant => $word, )+
                }
            }
        }

        impl $crate::config::value::Value for $Choice {
            fn expected() -> String {
                concat!("\"", $first_word, "\"" $(, " or \"", $word, "\"")+).to_owned()
            }

            fn parse(text: &str) -> Option<Self> {
                let choices = [Self::$First $(, Self::$Variant)+];
                choices.into_iter().find(|choice| choice.as_str() == text)
            }

            fn show(&self) -> Option<String> {
                Some($crate::config::value::quote(self.as_str()))
            }
        }
    };
}

pub(super) use {choice, rule, section};
