use super::{Answer, HEAD_MAX, answer, refused, request};
use crate::address::{Address, Login, Proxy};

fn login() -> Login {
    Login { user: "hub".to_owned(), password: "pa:ss".to_owned() }
}

#[test]
fn the_request_names_the_core_twice_and_brings_the_login() {
    let core = Address::new("core.example", 8883);
    assert_eq!(request(&core, None), "CONNECT core.example:8883 HTTP/1.1\r\nHost: core.example:8883\r\n\r\n");
    let with = request(&Address::new("2001:db8::1", 8883), Some(&login()));
    let expected = "CONNECT [2001:db8::1]:8883 HTTP/1.1\r\nHost: [2001:db8::1]:8883\r\n\
                    Proxy-Authorization: Basic aHViOnBhOnNz\r\n\r\n";
    assert_eq!(with, expected);
    assert!(!format!("{:?}", Proxy { address: core, login: Some(login()) }).contains("pa:ss"));
}

#[test]
fn an_answer_is_told_by_its_head_and_nothing_behind_it_is_swallowed() {
    let no = |code, reason: &str| Answer::Refused { code, reason: reason.to_owned() };
    let cases: [(&[u8], Answer); 17] = [
        (b"", Answer::More),
        (b"HTT", Answer::More),
        (b"HTTP/1.0 200 Connection esta", Answer::More),
        (b"HTTP/1.0 200 Connection established\r\nProxy-agent: x\r\n", Answer::More),
        (b"HTTP/1.0 200 Connection established\r\nProxy-agent: x\r\n\r\n", Answer::Passes),
        (b"HTTP/1.1 204\n\n", Answer::Passes),
        (b"HTTP/1.1 200 OK\r\n\r\n\x16", Answer::Foreign),
        (b"HTTP/1.1 100 Continue\r\n\r\n", no(100, "Continue")),
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n", no(407, "Proxy Authentication Required")),
        (b"HTTP/1.1 302\r\nLocation: http://portal/", no(302, "")),
        (b"HTTP/1.1 502 Bad \x1b[31mGateway\r\n", no(502, "Bad [31mGateway")),
        (b"HTTP/1.1 2000 OK\r\n\r\n", Answer::Foreign),
        (b"HTTP/1.1 OK\r\n\r\n", Answer::Foreign),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Answer::Foreign),
        (b"\x15\x03\x01\x00\x02\x02\x46", Answer::Foreign),
        (b"HTTP/2 200\r\n\r\n", Answer::Foreign),
        (b"\n", Answer::Foreign),
    ];
    for (head, expected) in cases {
        assert_eq!(answer(head), expected, "{}", head.escape_ascii());
    }
    let mut endless = b"HTTP/1.1 200 OK\r\n".to_vec();
    while endless.len() <= HEAD_MAX {
        endless.extend(b"X-More: and more\r\n");
    }
    assert_eq!(answer(&endless), Answer::Foreign);
    let long = format!("HTTP/1.1 503 {}\r\n", "x".repeat(1_000));
    assert_eq!(answer(long.as_bytes()), no(503, &"x".repeat(60)));
}

#[test]
fn each_refusal_has_its_word_and_what_to_do() {
    let core = Address::new("core.example", 8883);
    let cases = [
        (407, false, "proxy-login", "user:password@"),
        (407, true, "proxy-login", "does not take"),
        (401, true, "proxy-login", "does not take"),
        (403, false, "proxy-refuses", "allow CONNECT"),
        (405, false, "proxy-refuses", "allow CONNECT"),
        (302, false, "proxy-refuses", "allow CONNECT"),
        (500, true, "proxy-cannot-reach", "core.example:8883"),
        (502, false, "proxy-cannot-reach", "core.example:8883"),
        (504, false, "proxy-cannot-reach", "core.example:8883"),
    ];
    for (code, with_login, word, hint) in cases {
        let proxy = Proxy { address: Address::new("proxy.example", 3128), login: with_login.then(login) };
        let lost = refused(code, "Because", &proxy, &core);
        assert_eq!(lost.word, word, "{code}");
        assert!(lost.detail.contains(hint) && lost.detail.contains(&format!("{code} Because")), "{}", lost.detail);
        assert!(!lost.detail.contains("pa:ss"), "{}", lost.detail);
    }
}
