//! The configuration as a whole: defaults, files, CONFIG GET and SET.

use super::*;

fn load(args: &[&str]) -> Config {
    match Config::load(args.iter().map(|arg| (*arg).to_owned())) {
        Ok(config) => config,
        Err(errors) => panic!("{}", fatal_text(&errors)),
    }
}

fn faults(args: &[&str]) -> Vec<String> {
    let errors = Config::load(args.iter().map(|arg| (*arg).to_owned())).unwrap_err();
    errors.iter().map(ToString::to_string).collect()
}

fn get(config: &Config, pattern: &str) -> Vec<(String, String)> {
    let found = config.get(pattern.as_bytes()).into_iter();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    found
        .map(|(name, value)| (text(name), text(value)))
        .collect()
}

fn set(config: &Config, pairs: &[(&str, &str)]) -> Result<(), String> {
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(k, v)| (k.as_bytes(), v.as_bytes()))
        .collect();
    config.set(&pairs, false).map_err(|error| error.to_string())
}

#[test]
fn the_table_is_in_order_and_its_defaults_are_valid() {
    let mut names = std::collections::BTreeSet::new();
    for (index, directive) in TABLE.iter().enumerate() {
        assert_eq!(directive.key as usize, index);
        for name in directive.names() {
            assert!(names.insert(name), "{name} is there twice");
            assert_eq!(name, name.to_ascii_lowercase());
            assert_eq!(
                Directive::named(&name.to_ascii_uppercase()).unwrap().key,
                directive.key
            );
        }
        assert!(directive.doc.ends_with('.'), "{}", directive.name);
        let shown = load::default_value(directive).show(directive.kind);
        if !matches!(directive.key, Key::IoThreads | Key::Dir) {
            assert_eq!(
                String::from_utf8(shown).unwrap(),
                directive.default,
                "{}",
                directive.name
            );
        }
    }
    assert_eq!(TABLE.len(), COUNT);
}

#[test]
fn a_cluster_node_is_the_default_but_not_for_a_redis_conf() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    assert!(load(&[]).cluster_enabled());
    assert!(load(&[&file("node.toml", "port = 1")]).cluster_enabled());
    assert!(load(&[&file("nodetoml", "# c\n\nport = 1")]).cluster_enabled());
    assert!(load(&[&file("tables", "[cluster]\nnode-timeout = 5")]).cluster_enabled());
    assert!(!load(&[&file("redis.conf", "port 1")]).cluster_enabled());
    assert!(!load(&[&file("plain", "port 1")]).cluster_enabled());
    assert!(!load(&[&file("empty", "")]).cluster_enabled());
    assert!(!load(&["--cluster-enabled", "no"]).cluster_enabled());
}

#[test]
fn the_last_word_counts_and_save_points_add_up() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("redis.conf");
    std::fs::write(&path, "port 1\nsave 900 1\nsave 10 5\nport 2\n").unwrap();
    let path = path.display().to_string();
    let config = load(&[&path, "--save", "300", "10", "--port", "3"]);
    assert_eq!(config.port(), 3);
    // As redis-server 7.0.15 does.
    assert_eq!(config.text(Key::Save), "900 1 10 5 300 10");
    assert_eq!(load(&[&path, "--save"]).text(Key::Save), "");
    assert_eq!(load(&["--save", "60 1 30 2"]).text(Key::Save), "60 1 30 2");
}

#[test]
fn includes_are_read_in_place() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    std::fs::create_dir(dir.path().join("conf.d")).unwrap();
    write("conf.d/a.conf", "timeout 1\nmaxclients 11\n");
    write("conf.d/b.toml", "timeout = 2\n");
    write("conf.d/.hidden.conf", "timeout 3\n");
    let base = dir.path().display();
    write(
        "redis.conf",
        &format!("timeout 9\ninclude {base}/conf.?/*.*\ninclude {base}/none*\n"),
    );
    let main = format!("{base}/redis.conf");
    let config = load(&[&main]);
    assert_eq!((config.timeout_ms(), config.maxclients()), (Some(2000), 11));

    write("loop.conf", &format!("include {base}/loop.conf\n"));
    let errors = faults(&[&format!("{base}/loop.conf")]);
    assert!(errors[0].contains("include each other"), "{errors:?}");
    write("gone.conf", &format!("include {base}/gone/x.conf\n"));
    let errors = faults(&[&format!("{base}/gone.conf")]);
    assert!(
        errors[0].contains("No such file or directory"),
        "{errors:?}"
    );
}

#[test]
fn all_faults_come_at_once_and_name_place_key_and_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("node.toml");
    std::fs::write(
        &path,
        "port = 70000\nmaxmemry = \"1gb\"\n\ntimeout = \"soon\"\n",
    )
    .unwrap();
    let path = path.display().to_string();
    let errors = faults(&[
        &path,
        "--loglevel",
        "loud",
        "--user",
        "default",
        "on",
        "--port=1",
    ]);
    let expected = [
        format!("{path}:1: port: argument must be between 0 and 65535 inclusive; give a port, 0 to 65535 (default 6379)"),
        format!("{path}:2: maxmemry: Bad directive or wrong number of arguments; did you mean maxmemory?"),
        format!("{path}:4: timeout: argument couldn't be parsed into an integer; give seconds, at least 0 (default 0)"),
        "command line: loglevel: argument(s) must be one of the following: debug, verbose, notice, warning; give one of debug, verbose, notice, warning (default notice)".to_owned(),
        "command line: user: users are not supported by this version; leave it out, and set requirepass".to_owned(),
        "command line: port=1: Bad directive or wrong number of arguments; write --port 1".to_owned(),
    ];
    assert_eq!(errors, expected);
}

#[test]
fn a_fatal_start_prints_what_redis_s_tools_look_for() {
    let errors = Config::load(["--port", "--foo", "--loglevel"].map(str::to_owned)).unwrap_err();
    let text = fatal_text(&errors);
    assert!(
        text.contains("*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***\n"),
        "{text}"
    );
    assert!(
        text.contains(">>> 'port \"--foo\"'\nargument couldn't be parsed into an integer\n"),
        "{text}"
    );
    assert!(
        text.contains(">>> 'loglevel'\nwrong number of arguments\n"),
        "{text}"
    );
}

#[test]
fn directives_that_contradict_each_other_are_refused() {
    for (args, key) in [
        (&["--replicaof", "10.0.0.1", "6379"][..], "replicaof"),
        (&["--port", "0"], "port"),
        (&["--port", "60000"], "port"),
        (&["--port", "7000", "--admin-port", "7000"], "admin-port"),
        (&["--tls-port", "7001"], "tls-port"),
        (&["--aclfile", "users.acl"], "aclfile"),
    ] {
        let errors = faults(args);
        assert!(
            errors[0].starts_with(&format!("command line: {key}: ")),
            "{args:?}: {errors:?}"
        );
    }
    load(&["--port", "60000", "--cluster-port", "61000"]);
    load(&[
        "--port",
        "0",
        "--unixsocket",
        "/tmp/x",
        "--cluster-enabled",
        "no",
    ]);
    load(&["--cluster-enabled", "no", "--replicaof", "no", "one"]);
    load(&["--cluster-enabled", "no", "--replicaof", "10.0.0.1", "6379"]);
}

#[test]
fn what_does_nothing_is_warned_of() {
    let config = load(&[
        "--maxmemory-clients",
        "7mb",
        "--activedefrag",
        "yes",
        "--lua-replicate-commands",
        "yes",
        "--hz",
        "10",
    ]);
    let warnings = config.warnings();
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(
        load(&["--port", "7000", "--maxmemory-clients", "0"])
            .warnings()
            .is_empty()
    );
}

#[test]
fn get_answers_names_patterns_and_aliases() {
    let config = load(&["--maxmemory", "7mb"]);
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(get(&config, "MaxMemory"), [pair("MaxMemory", "7340032")]);
    assert_eq!(
        get(&config, "slave-priority"),
        [pair("slave-priority", "100")]
    );
    assert_eq!(get(&config, "*lave-PRIO*"), [pair("slave-priority", "100")]);
    assert_eq!(get(&config, "nope"), []);
    assert_eq!(
        get(&config, "key-load-delay"),
        [pair("key-load-delay", "0")]
    );
    assert_eq!(get(&config, "key-load-d*"), []);
    assert_eq!(get(&config, "*").len(), 201, "Redis's 192 and our 9");
}

#[test]
fn set_changes_all_or_nothing() {
    let config = load(&[]);
    set(
        &config,
        &[("maxmemory", "1gb"), ("TIMEOUT", "5"), ("save", "900 1")],
    )
    .unwrap();
    assert_eq!(config.maxmemory(), 1 << 30);
    assert_eq!(config.timeout_ms(), Some(5000));
    let failed = |name: &str, reason: &str| {
        Err(format!(
            "CONFIG SET failed (possibly related to argument '{name}') - {reason}"
        ))
    };
    let result = set(&config, &[("maxmemory", "1"), ("timeout", "x")]);
    assert_eq!(
        result,
        failed("timeout", "argument couldn't be parsed into an integer")
    );
    assert_eq!(config.maxmemory(), 1 << 30);
    let result = set(&config, &[("maxmemory", "1"), ("maxmemory", "2")]);
    assert_eq!(result, failed("maxmemory", "duplicate parameter"));
    let result = set(
        &config,
        &[("port", "1"), ("daemonize", "yes"), ("foo", "1")],
    );
    assert_eq!(result, failed("daemonize", "can't set immutable config"));
    let result = set(&config, &[("foo", "1"), ("daemonize", "yes")]);
    assert_eq!(
        result,
        Err("Unknown option or number of arguments for CONFIG SET - 'foo'".into())
    );
}

#[test]
fn protected_directives_ask_who_wants_it() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().canonicalize().unwrap().display().to_string();
    let pair: &[(&[u8], &[u8])] = &[(b"dir", dir.as_bytes())];
    for (setting, remote, local) in [
        ("no", false, false),
        ("yes", true, true),
        ("local", false, true),
    ] {
        let config = load(&["--enable-protected-configs", setting]);
        assert_eq!(config.set(pair, false).is_ok(), remote, "{setting}");
        assert_eq!(config.set(pair, true).is_ok(), local, "{setting}");
    }
    let config = load(&["--enable-protected-configs", "yes"]);
    config.set(pair, false).unwrap();
    assert_eq!(config.dir(), PathBuf::from(&dir));
    assert_eq!(
        config.cluster_config_file(),
        PathBuf::from(&dir).join("nodes.conf")
    );
    let error = set(&config, &[("dir", "/nonexistent")]).unwrap_err();
    assert!(
        error.ends_with("'dir') - No such file or directory"),
        "{error}"
    );
    let error = set(&config, &[("dir", "/etc/passwd")]).unwrap_err();
    assert!(error.ends_with("'dir') - Not a directory"), "{error}");
}

#[test]
fn a_change_that_cannot_be_applied_is_taken_back() {
    let config = load(&[]);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    config.on_change(
        &[Key::Timeout],
        Box::new(move |config| {
            log.lock().push(config.timeout_ms());
            Ok(())
        }),
    );
    let refuse = |config: &Config| match config.port() {
        7777 => Err("Unable to listen on this port. Check server logs.".to_owned()),
        _ => Ok(()),
    };
    config.on_change(&[Key::Port, Key::Bind], Box::new(refuse));
    let error = set(&config, &[("timeout", "5"), ("port", "7777")]).unwrap_err();
    assert_eq!(
        error,
        "CONFIG SET failed (possibly related to argument 'port') - Unable to listen on this port. Check server logs."
    );
    assert_eq!((config.timeout_ms(), config.port()), (None, 6379));
    assert_eq!(*seen.lock(), [Some(5000), None]);
    set(&config, &[("maxmemory", "5")]).unwrap();
    assert_eq!(seen.lock().len(), 2, "only what it asked for");
}

#[test]
fn passwords_are_compared_whole() {
    let config = load(&["--requirepass", "secret"]);
    assert!(config.has_password());
    for (given, right) in [
        ("secret", true),
        ("secreT", false),
        ("secre", false),
        ("secrett", false),
        ("", false),
    ] {
        assert_eq!(config.password_matches(given.as_bytes()), right, "{given}");
    }
    assert!(!load(&[]).has_password());
    assert!(!format!("{config:?}").contains("secret"));
}

#[test]
fn every_policy_of_the_table_is_one_of_the_store_s() {
    let config = load(&[]);
    for name in table::POLICIES {
        set(&config, &[("maxmemory-policy", name)]).unwrap();
        assert_eq!(config.maxmemory_policy().name(), *name);
    }
}

#[test]
fn percentages_of_memory_follow_it() {
    let config = load(&["--maxmemory", "1000", "--maxmemory-clients", "5%"]);
    assert_eq!(config.maxmemory_clients(), 50);
    set(&config, &[("maxmemory-clients", "1k")]).unwrap();
    assert_eq!(config.maxmemory_clients(), 1000);
}

#[test]
fn debian_s_own_file_loads_without_a_fault() {
    // Present wherever the tests' peers are installed; its directories are root's, so without
    // them where we are not.
    let Ok(text) = std::fs::read_to_string("/etc/redis/redis.conf") else {
        return;
    };
    let text: String = text
        .lines()
        .filter(|l| !l.starts_with("dir "))
        .map(|l| format!("{l}\n"))
        .collect();
    let config = Config::from_conf(text.as_bytes()).unwrap();
    assert!(config.daemonize() && !config.cluster_enabled());
    assert!(config.warnings().is_empty(), "{:?}", config.warnings());
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        let _ = Config::from_conf(&text);
        let _ = Config::from_toml(&text);
    }
}
