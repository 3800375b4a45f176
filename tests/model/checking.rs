//! How a model is searched, and how a rule is shown to be needed.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::hash::Hash;

use stateright::{Checker, Expectation, HasDiscoveries, Model, Path};

/// Declares the rules of one model: the enum, and for each rule the test that takes it out.
///
/// A line reads: the rule as the protocol states it, its name, the name of its test, the scope in
/// which its absence shows, the property which then fails.
macro_rules! rules {
    ($model:ident: $($(#[$text:meta])+ $rule:ident, $test:ident in $scope:ident: $property:ident;)+)
    => {
        /// The rules of the protocol; a search leaves out at most one.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub(crate) enum Rule { $($(#[$text])+ $rule),+ }

        impl $model {
            fn keeps(&self, rule: Rule) -> bool {
                self.without != Some(rule)
            }
        }

        mod the_bug_is_found_without {
            use super::*;

            $(
                #[test]
                fn $test() {
                    let model = $model { scope: $scope, without: Some(Rule::$rule) };
                    crate::checking::fails(model, $property);
                }
            )+
        }
    };
}

/// Declares the scopes in which a model is searched, each with its test.
macro_rules! scopes {
    ($model:ident: $($scope:ident, $test:ident;)+) => {
        mod the_promise_holds_with {
            use super::*;

            $(
                #[test]
                fn $test() {
                    let large = std::env::var("HEADLAND_MODEL_BOUND").is_ok_and(|b| b == "large");
                    let scope = if large { $scope.enlarged() } else { $scope };
                    crate::checking::holds(concat!(stringify!($model), " with ", stringify!($test)),
                        $model { scope, without: None });
                }
            )+
        }
    };
}

/// Searches every state within the bounds: no promise is broken, and all that should be possible
/// is.
pub(crate) fn holds<M>(what: &str, model: M)
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq,
{
    let checker = model.checker().threads(2).spawn_dfs().join();
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    println!("{what}: {states} states, at most {depth} steps deep");
    for property in checker.model().properties() {
        let found = checker.discovery(property.name);
        match property.expectation {
            Expectation::Sometimes => assert!(found.is_some(), "never: {}", property.name),
            _ => assert!(found.is_none(), "broken: {}\n{}", property.name, trace(found)),
        }
    }
}

/// Searches until the property fails: a promise is broken, or what should be possible never is.
pub(crate) fn fails<M>(model: M, property: &'static str)
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq,
{
    let expectation = model.property(property).expectation;
    let until = HasDiscoveries::AllOf(BTreeSet::from([property]));
    // Breadth first: the shortest trace tells the bug best.
    let checker = model.checker().threads(2).finish_when(until).spawn_bfs().join();
    let found = checker.discovery(property);
    match expectation {
        Expectation::Sometimes => assert!(found.is_none(), "still possible: {property}"),
        _ => {
            assert!(found.is_some(), "not needed for: {property}");
            println!("{}", trace(found));
        }
    }
}

/// The steps that lead there, one a line.
fn trace<State, Action: Debug>(path: Option<Path<State, Action>>) -> String {
    let steps = path.map(Path::into_actions).unwrap_or_default();
    steps.iter().map(|step| format!("  {step:?}\n")).collect()
}
