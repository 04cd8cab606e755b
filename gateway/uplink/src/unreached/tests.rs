use super::Addresses::{One, Two};
use super::Unreached;
use crate::address::Address;
use crate::lost::Lost;
use crate::route::Route::{self, Fallback, First};

#[test]
fn each_address_keeps_its_own_trouble_until_a_connection_stands() {
    let address = |route| Address::new(if route == First { "core.example" } else { "core2.example" }, 8883);
    let check = |what: &str, addresses, tries: &[(Route, &'static str, &str)], expected: &[(&str, &str, &str)]| {
        let mut unreached = Unreached::default();
        for (route, word, detail) in tries {
            unreached.note(*route, &address(*route), addresses, Lost::new(word, *detail));
        }
        let told: Vec<_> = unreached.faults().map(|f| (f.subject.as_str(), f.word, f.detail.as_str())).collect();
        assert_eq!(told, expected, "{what}");
        unreached.clear();
        assert_eq!(unreached.faults().count(), 0, "{what}");
    };
    check("one alone", One, &[(First, "core-busy", "no")], &[("core", "core-busy", "no")]);
    let (away, named) =
        ((First, "core-unreachable", "core.example:8883 is away"), (Fallback, "core-name", "no such name"));
    let both = [
        ("core", "core-unreachable", "core.example:8883 is away"),
        ("fallback", "core-name", "core2.example:8883: no such name"),
    ];
    check("both", Two, &[away, named], &both);
    check("whichever was tried last", Two, &[away, named, away], &both);
    check("the newest of each", Two, &[(First, "core-busy", "no"), named, away], &both);
    let proxy = |route| (route, "proxy-unreachable", "proxy.example:3128 is away");
    let told = [("core", "proxy-unreachable", "proxy.example:3128 is away")];
    check("a proxy before both", Two, &[proxy(First), proxy(Fallback)], &told);
}
