use std::time::Duration;

use super::Route::{self, Fallback, First};

/// The routes of a row of tries, each with the seconds that its connection stood; none if it failed.
fn routes(stood: &[Option<u64>]) -> Vec<Route> {
    let mut route = Route::default();
    let mut taken = Vec::new();
    for seconds in stood {
        taken.push(route);
        route = route.next(seconds.map(Duration::from_secs));
    }
    taken
}

#[test]
fn the_fallback_is_every_second_try_and_home_is_never_given_up_for_good() {
    const GOOD: Option<u64> = Some(86_400);
    const SHORT: Option<u64> = Some(59);
    let check = |what: &str, stood: &[Option<u64>], expected: &[Route]| assert_eq!(routes(stood), expected, "{what}");
    check("both are away", &[None; 5], &[First, Fallback, First, Fallback, First]);
    check("the first one is well", &[GOOD, GOOD, GOOD], &[First, First, First]);
    check("the first one breaks soon", &[SHORT, GOOD, GOOD], &[First, Fallback, First]);
    check("the first one is away", &[None, GOOD, None, GOOD], &[First, Fallback, First, Fallback]);
    check("the first one is back", &[None, GOOD, GOOD, GOOD], &[First, Fallback, First, First]);
    check("the fallback is no better", &[SHORT, SHORT, None, None], &[First, Fallback, First, Fallback]);
}
