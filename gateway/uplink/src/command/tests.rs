use super::*;

fn incoming(topic: &str, response_topic: Option<&str>) -> Incoming {
    Incoming {
        topic: topic.to_owned(),
        payload: Bytes::from_static(b"{}"),
        retained: false,
        response_topic: response_topic.map(str::to_owned),
        correlation: Some(Bytes::from_static(b"7")),
        expiry_s: Some(5),
    }
}

fn desk(room: usize) -> (Desk, Topics, mpsc::Receiver<Command>) {
    let (site, hub) = (Name::new("pier").unwrap(), Name::new("hub-7").unwrap());
    let topics = Topics::new(&site, &hub);
    let (commands, taken) = mpsc::channel(room);
    (Desk::new(hub, commands), topics, taken)
}

const WRITE: &str = "curb/v1/pier/hub-7/cmd/write";

#[test]
fn a_command_is_handed_over_with_all_that_it_came_with() {
    let (mut desk, topics, mut commands) = desk(1);
    let now = Instant::now();
    let sent = Incoming { retained: true, ..incoming(WRITE, Some("core/7")) };
    assert_eq!(desk.take(sent, &topics, now), Taken::HandedOver);
    let command = commands.try_recv().unwrap();
    assert_eq!((&*command.name, &command.payload[..], command.retained), ("write", &b"{}"[..], true));
    assert_eq!(command.expires, Some(now + Duration::from_secs(5)));
    command.answer(b"done".to_vec());
    let answer = desk.answers.try_recv().unwrap();
    assert_eq!((&*answer.topic, &answer.payload[..]), ("core/7", &b"done"[..]));
    assert_eq!(answer.correlation.as_deref(), Some(&b"7"[..]));
}

#[test]
fn an_answer_goes_only_where_it_was_asked_for_and_never_into_our_own_topics() {
    let (mut desk, topics, mut commands) = desk(1);
    let mut check = |response_topic: Option<&str>, expected: ReplyTo| {
        desk.take(incoming(WRITE, response_topic), &topics, Instant::now());
        let command = commands.try_recv().unwrap();
        assert_eq!(command.reply_to, expected);
        command.answer(b"done".to_vec());
        let expected = matches!(expected, ReplyTo::Topic(_));
        assert_eq!(desk.answers.try_recv().is_ok(), expected, "{response_topic:?}");
    };
    check(None, ReplyTo::Nobody);
    let (ours, data) = ("curb/v1/pier/hub-7/reply/core", "curb/v1/pier/hub-7/data/meter");
    check(Some(ours), ReplyTo::Topic(ours.into()));
    check(Some(data), ReplyTo::Unusable(data.into()));
    check(Some("core/+"), ReplyTo::Unusable("core/+".into()));
}

#[test]
fn what_nobody_can_take_is_answered_at_once() {
    let (mut desk, topics, commands) = desk(1);
    let now = Instant::now();
    let check = |desk: &mut Desk, word: &str, taken: Taken| {
        assert_eq!(taken, Taken::Refused);
        let answer = Document::decode(&desk.answers.try_recv().unwrap().payload).unwrap();
        assert_eq!((answer.hub.as_str(), answer.outcome.result.unwrap_err().word.as_str()), ("hub-7", word));
    };
    assert_eq!(desk.take(incoming(WRITE, Some("core/7")), &topics, now), Taken::HandedOver);
    let taken = desk.take(incoming(WRITE, Some("core/7")), &topics, now);
    check(&mut desk, "full", taken);
    drop(commands);
    let taken = desk.take(incoming(WRITE, Some("core/7")), &topics, now);
    check(&mut desk, "stopped", taken);
    let receipt = incoming("curb/v1/pier/hub-7/receipt", None);
    assert_eq!(desk.take(receipt, &topics, now), Taken::NotACommand);
}
