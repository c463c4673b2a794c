//! A case of the suite.

use futures_core::future::BoxFuture;

use super::expect::Check;
use super::fixture::Fixture;

/// One promise, and the function that checks it.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) run: fn(Fixture) -> BoxFuture<'static, Check>,
}

/// Defines `cases()` for an area, from its functions.
macro_rules! cases {
    ($area:literal: $($case:ident),* $(,)?) => {
        pub(super) fn cases() -> Vec<super::case::Case> {
            vec![$(super::case::Case {
                name: concat!($area, "/", stringify!($case)),
                run: |fixture| Box::pin($case(fixture)),
            }),*]
        }
    };
}
pub(super) use cases;
