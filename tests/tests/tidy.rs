//! What every file of the repository must be: short, introduced, finished.
#![cfg(test)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use slotilla_tests::binaries;

/// Longest file with logic in it.
const LINES_MAX: usize = 700;
/// Longest line of a script; rustfmt sees to the rest.
const COLUMNS_MAX: usize = 120;

/// Every file that git knows or would take, by its path in the repository.
fn files() -> Vec<PathBuf> {
    let listed = Command::new("git")
        .current_dir(binaries::root())
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .output()
        .expect("git runs");
    assert!(listed.status.success(), "git lists the files");
    let listed = String::from_utf8(listed.stdout).expect("names are text");
    let paths = listed.lines().map(PathBuf::from);
    paths
        .filter(|path| binaries::root().join(path).is_file())
        .collect()
}

fn with_ending(ending: &str) -> Vec<(PathBuf, String)> {
    let chosen = files()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == ending));
    chosen
        .map(|path| {
            let text = fs::read_to_string(binaries::root().join(&path)).expect("source is text");
            (path, text)
        })
        .collect()
}

/// Files of rows: the longer the more complete.
fn is_table(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "table") || path.ends_with("table.rs")
}

fn refuse(faults: &[String]) {
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

#[test]
fn no_source_file_is_too_long_to_read() {
    let sources = with_ending("rs")
        .into_iter()
        .filter(|(path, _)| !is_table(path));
    let long = sources.filter_map(|(path, text)| {
        let lines = text.lines().count();
        (lines > LINES_MAX).then(|| format!("{}: {lines} lines", path.display()))
    });
    refuse(&long.collect::<Vec<_>>());
}

#[test]
fn every_source_file_says_what_it_is() {
    let silent = with_ending("rs").into_iter().filter_map(|(path, text)| {
        // A script's first line may be needed elsewhere; in Rust the words come first.
        (!text.starts_with("//!")).then(|| path.display().to_string())
    });
    refuse(&silent.collect::<Vec<_>>());
}

#[test]
fn nothing_is_left_for_later() {
    // Written apart, so that this file does not find itself.
    let banned = [["TO", "DO"], ["FIX", "ME"], ["XX", "X"]].map(|parts| parts.concat());
    let mut faults = Vec::new();
    for ending in ["rs", "toml", "md", "py", "js"] {
        for (path, text) in with_ending(ending) {
            for (number, line) in text.lines().enumerate() {
                for word in &banned {
                    let is_word =
                        |part: &str| part.trim_matches(|c: char| !c.is_alphanumeric()) == word;
                    if line.split_whitespace().any(is_word) {
                        faults.push(format!("{}:{}: {word}", path.display(), number + 1));
                    }
                }
            }
        }
    }
    refuse(&faults);
}

#[test]
fn no_file_speaks_of_the_machine_it_was_written_on() {
    let banned = [["/wo", "rk/"], ["/ro", "ot/"]].map(|parts| parts.concat());
    let mut faults = Vec::new();
    for ending in ["rs", "toml", "md", "py", "js", "txt", "conf"] {
        for (path, text) in with_ending(ending) {
            for word in banned.iter().filter(|word| text.contains(word.as_str())) {
                faults.push(format!("{}: {word}", path.display()));
            }
        }
    }
    refuse(&faults);
}

#[test]
fn scripts_fit_a_screen() {
    let mut faults = Vec::new();
    for ending in ["py", "js"] {
        for (path, text) in with_ending(ending) {
            for (number, line) in text.lines().enumerate() {
                let columns = line.chars().count();
                if columns > COLUMNS_MAX {
                    faults.push(format!(
                        "{}:{}: {columns} columns",
                        path.display(),
                        number + 1
                    ));
                }
            }
        }
    }
    refuse(&faults);
}

#[test]
fn links_in_documents_lead_to_files() {
    let mut faults = Vec::new();
    for (path, text) in with_ending("md") {
        let links = text.split("](").skip(1).filter_map(|rest| {
            let target = rest.split(')').next()?;
            (!target.contains("://") && !target.starts_with('#')).then_some(target)
        });
        let folder = binaries::root().join(path.parent().unwrap_or(Path::new("")));
        let lost = links.filter(|target| !folder.join(target).exists());
        faults.extend(lost.map(|target| format!("{}: {target}", path.display())));
    }
    refuse(&faults);
}

/// Two commands set everything up; a third would be one that people forget.
/// `ARCHITECTURE.md` names all files with unsafe code, and no others.
#[test]
fn unsafe_code_stands_where_the_architecture_says() {
    let text = fs::read_to_string(binaries::root().join("ARCHITECTURE.md")).unwrap();
    let from = text.find("- `unsafe` stands only").expect("a paragraph");
    let paragraph = text[from..].split("\n- ").next().unwrap_or_default();
    let mut named: Vec<&str> = paragraph.split('`').skip(1).step_by(2).collect();
    named.retain(|name| Path::new(name).extension().is_some());
    let has_unsafe = |(path, source): &(PathBuf, String)| {
        let code = source
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        let words = ["unsafe {", "unsafe impl", "unsafe fn", "unsafe trait"];
        let mut found = code.filter(|line| words.iter().any(|word| line.contains(word)));
        !path.starts_with("tests") && found.next().is_some()
    };
    let sources = with_ending("rs");
    let with_unsafe: Vec<PathBuf> = sources
        .into_iter()
        .filter(has_unsafe)
        .map(|(path, _)| path)
        .collect();
    let mut faults: Vec<String> = with_unsafe
        .iter()
        .filter(|path| !named.iter().any(|name| path.ends_with(name)))
        .map(|path| format!("{} has unsafe code and is not named", path.display()))
        .collect();
    named.retain(|name| !with_unsafe.iter().any(|path| path.ends_with(name)));
    faults.extend(
        named
            .iter()
            .map(|name| format!("{name} is named and has none")),
    );
    refuse(&faults);
}

#[test]
fn the_readme_has_two_set_up_commands() {
    let path = binaries::root().join("README.md");
    let readme = fs::read_to_string(path).expect("there is a README.md");
    let commands = [
        "cargo run --release --bin slotilla-proxy -- dev",
        "tests/run",
    ];
    for command in commands {
        assert!(
            readme.lines().any(|line| line.trim() == command),
            "no line `{command}`"
        );
    }
    let others = readme.lines().map(str::trim).filter(|line| {
        let sets_up = [
            "cargo ", "apt ", "apt-get ", "pip ", "npm ", "make ", "rustup ",
        ];
        sets_up.iter().any(|start| line.starts_with(start)) && !commands.contains(line)
    });
    refuse(&others.map(str::to_owned).collect::<Vec<_>>());
}

#[test]
fn the_shipped_configuration_is_accepted() {
    let config = binaries::root().join("config");
    let text = fs::read(config.join("node.toml")).expect("config/node.toml");
    if let Err(faults) = slotilla_node::config::Config::from_toml(&text) {
        refuse(&faults.iter().map(ToString::to_string).collect::<Vec<_>>());
    }
    let mut check = Command::new(binaries::proxy());
    check.arg("check-config").arg(config.join("proxy.toml"));
    let run = slotilla_tests::run_tool(&mut check);
    assert!(run.success, "{}\n{}", run.out, run.err);
}
