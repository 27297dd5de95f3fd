//! What both sides say, at every split of what the primary says.

use super::*;

const ID: &str = "0123456789abcdef0123456789abcdef01234567";

fn introduction() -> Introduction {
    Introduction {
        auth: Some((Some(b"user".to_vec()), b"secret".to_vec())),
        port: 7000,
        address: Some("10.0.0.1".into()),
        position: Some((ReplId::parse(ID.as_bytes()).unwrap(), 99)),
        hands_over: false,
    }
}

/// What was sent; unless they do not agree, how much was taken; and what came of it.
type Said = (String, usize, Result<Option<Agreed>, Refusal>);

fn talk(introduction: Introduction, parts: &[&str]) -> Said {
    let mut handshake = Handshake::new(introduction);
    let (mut said, mut taken) = (handshake.take_output(), 0);
    let mut outcome = Ok(None);
    for part in parts {
        match handshake.input(part.as_bytes()) {
            Ok((more, agreed)) => {
                taken += more;
                outcome = Ok(agreed);
            }
            Err(refusal) => (taken, outcome) = (0, Err(refusal)),
        }
        said.extend(handshake.take_output());
        if outcome != Ok(None) {
            break;
        }
    }
    let said = String::from_utf8(said).unwrap();
    let words = said
        .split("\r\n")
        .filter(|word| !word.starts_with(['*', '$']));
    (words.collect::<Vec<_>>().join(" "), taken, outcome)
}

/// The same at every split.
fn talk_split(introduction: &Introduction, text: &str) -> Said {
    let whole = talk(introduction.clone(), &[text]);
    for cut in 1..text.len() {
        let (first, second) = text.split_at(cut);
        let parted = talk(introduction.clone(), &[first, second]);
        assert_eq!(parted, whole, "{cut} of {text:?}");
    }
    whole
}

#[test]
fn a_primary_that_knows_all_hears_all() {
    let text = format!("+PONG\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n\n\n+CONTINUE {ID}\r\n*1\r\n");
    let (said, taken, agreed) = talk_split(&introduction(), &text);
    let expected = format!(
        "PING AUTH user secret REPLCONF listening-port 7000 REPLCONF ip-address 10.0.0.1 \
         REPLCONF capa eof capa psync2 PSYNC {ID} 100 "
    );
    assert_eq!(said, expected);
    assert_eq!(taken, text.len() - 4, "the stream is not the handshake's");
    assert_eq!(
        agreed,
        Ok(Some(Agreed::Continue(ReplId::parse(ID.as_bytes()))))
    );
}

#[test]
fn all_data_comes_in_either_form() {
    let plain = Introduction {
        port: 1,
        ..Introduction::default()
    };
    let replid = ReplId::parse(ID.as_bytes()).unwrap();
    let mark = "m".repeat(MARK);
    let forms = [
        ("$17".to_owned(), Form::Sized(17)),
        (format!("$EOF:{mark}"), Form::Marked([b'm'; MARK])),
    ];
    for (head, form) in forms {
        let text = format!("+PONG\r\n+OK\r\n+OK\r\n+FULLRESYNC {ID} 5\r\n\n\n{head}\r\nREDIS0010");
        let (said, taken, agreed) = talk_split(&plain, &text);
        let said = said.trim_end();
        assert!(
            said.ends_with("REPLCONF capa eof capa psync2 PSYNC ? -1"),
            "{said}"
        );
        assert_eq!(taken, text.len() - 9);
        let full = Agreed::Full {
            replid,
            offset: 5,
            form,
            is_old: false,
        };
        assert_eq!(agreed, Ok(Some(full)));
    }
}

#[test]
fn errors_of_replconf_and_a_ping_that_wants_a_password_are_no_matter() {
    let text = "-NOAUTH x\r\n+OK\r\n-ERR a\r\n-ERR b\r\n-ERR c\r\n+CONTINUE\r\n";
    let (_, taken, agreed) = talk_split(&introduction(), text);
    assert_eq!(
        (taken, agreed),
        (text.len(), Ok(Some(Agreed::Continue(None))))
    );
}

#[test]
fn what_is_refused_is_told_with_its_reason() {
    let fails = |text: &str| {
        let (_, _, outcome) = talk_split(&introduction(), text);
        outcome.unwrap_err()
    };
    let oks = "+PONG\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n";
    assert!(matches!(fails("-LOADING x\r\n"), Refusal::Ping(_)));
    assert!(matches!(fails("HTTP/1.1 400\r\n"), Refusal::Ping(_)));
    assert!(matches!(
        fails("+PONG\r\n-WRONGPASS x\r\n"),
        Refusal::Auth(_)
    ));
    for later in ["NOMASTERLINK x", "LOADING x", "MASTERDOWN x", "BUSY x"] {
        let refusal = fails(&format!("{oks}-{later}\r\n"));
        assert!(matches!(refusal, Refusal::Later(_)), "{later}: {refusal}");
    }
    let refusal = fails(&format!("{oks}-ERR unknown command\r\n-ERR x\r\n"));
    assert!(matches!(refusal, Refusal::Aborted(_)), "{refusal}");
    let hands_over = Introduction {
        hands_over: true,
        ..introduction()
    };
    for error in ["ERR unknown command", "NOPERM x", "NOAUTH x"] {
        let (_, _, outcome) = talk_split(&hands_over, &format!("{oks}-{error}\r\n"));
        let refusal = outcome.unwrap_err();
        assert!(matches!(refusal, Refusal::Psync(_)), "{error}: {refusal}");
    }
    let big = u64::MAX;
    for line in [
        "+FULLRESYNC".to_owned(),
        "+FULLRESYNC x 1".to_owned(),
        format!("+FULLRESYNC {ID} -1"),
        format!("+FULLRESYNC {ID} {big}"),
        "+CONTINUE x".to_owned(),
        "+OK".to_owned(),
        "$5".to_owned(),
        format!("+FULLRESYNC {ID} 1\r\n+OK"),
        format!("+FULLRESYNC {ID} 1\r\n$-1"),
        format!("+FULLRESYNC {ID} 1\r\n$EOF:short"),
        format!("+FULLRESYNC {ID} 1\r\n${big}0"),
    ] {
        let refusal = fails(&format!("{oks}{line}\r\n"));
        assert!(
            matches!(refusal, Refusal::Nonsense { .. }),
            "{line}: {refusal}"
        );
    }
    let refusal = fails(&format!("{oks}+FULLRESYNC {ID} 1\r\n-ERR no fork\r\n"));
    assert_eq!(refusal, Refusal::Aborted("ERR no fork".into()));
}

#[test]
fn nobody_continues_who_has_not_asked_to() {
    let plain = Introduction::default();
    let (_, _, outcome) = talk_split(&plain, "+PONG\r\n+OK\r\n+OK\r\n+CONTINUE\r\n");
    assert!(
        matches!(outcome, Err(Refusal::Nonsense { .. })),
        "{outcome:?}"
    );
}

#[test]
fn a_line_that_does_not_end_is_refused() {
    let mut handshake = Handshake::new(Introduction::default());
    let mut sent = 0;
    let refusal = loop {
        match handshake.input(&[b'+'; 100]) {
            Ok(outcome) => assert_eq!(outcome, (100, None)),
            Err(refusal) => break refusal,
        }
        sent += 100;
        assert!(sent <= LINE_MAX);
    };
    assert_eq!(refusal, Refusal::Endless);
}

#[test]
fn it_says_when_the_data_is_to_come() {
    let mut handshake = Handshake::new(Introduction::default());
    let text = format!("+PONG\r\n+OK\r\n+OK\r\n+FULLRESYNC {ID} 5\r\n");
    for byte in text.bytes() {
        assert!(!handshake.awaits_data());
        handshake.input(&[byte]).unwrap();
    }
    assert!(handshake.awaits_data());
}

#[test]
fn a_primary_that_knows_only_sync_is_asked_for_that() {
    let no = "-ERR unknown command\r\n";
    let text =
        format!("+PONG\r\n+OK\r\n{no}{no}{no}-ERR unknown command 'PSYNC'\r\n\n\n$17\r\nREDIS");
    for cut in 1..text.len() {
        let (first, second) = text.split_at(cut);
        let (said, taken, agreed) = talk(introduction(), &[first, second]);
        assert!(said.ends_with(&format!("PSYNC {ID} 100 SYNC ")), "{said}");
        assert_eq!(taken, text.len() - 5, "the data is not the handshake's");
        let Ok(Some(Agreed::Full {
            replid,
            offset: 0,
            form: Form::Sized(17),
            is_old: true,
        })) = agreed
        else {
            panic!("{agreed:?}")
        };
        assert_ne!(replid.as_str(), ID, "nobody else knows this history");
    }
}
