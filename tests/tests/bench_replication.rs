//! The comparison of replication measures all that it says it does, beside a redis-server.
#![cfg(test)]

use std::process::Command;

use slotilla_tests::binaries;

#[test]
fn every_part_has_its_table_and_a_row_for_everybody() {
    let line = "compare --suite replication --quick --keys 5000 --rounds 1 --seconds 0.2 --force \
                --subjects redis,node";
    let output = Command::new(binaries::bench())
        .args(line.split_whitespace())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let noted = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{noted}");
    let squeezed = said.split(' ').filter(|part| !part.is_empty());
    let squeezed = squeezed.collect::<Vec<_>>().join(" ");
    for row in [
        "| redis → redis | 0 |",
        "| node → node | 0 |",
        "| node → redis | 0 |",
        "### BGSAVE, and load at the start",
        "### A primary's CPU µs per SET",
        "### A replica at its primary's full load",
        "### SETs that one replica must have",
        "| redis | not there |",
    ] {
        assert!(squeezed.contains(row), "{row}: {said}");
    }
    // A title, a rule and a row each.
    assert_eq!(said.matches("\n| redis ").count(), 6, "{said}");
    assert_eq!(said.matches("\n| node ").count(), 8, "{said}");
}
