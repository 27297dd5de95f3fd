//! What streams from outside must bear: for the random tests and cargo-fuzz.

use slotilla_common::resp::RequestLimits;

use super::intake::{Intake, Piece, Source};
use crate::cluster::routing::Serving;
use crate::store::Store;

/// So many bytes may wait for the end of a piece.
const MOST: usize = 4096;

/// A stream has the same pieces however it is cut up; what they are, and what is wrong in the end.
#[must_use]
pub fn fuzz_stream(cut: usize, stream: &[u8]) -> Vec<String> {
    let store = Store::new(1, Serving::Ours);
    let whole = pieces(&store, stream.len(), stream);
    // What is too long to wait for may have come at once.
    if stream.len() <= MOST {
        let parted = pieces(&store, cut, stream);
        assert_eq!(parted, whole, "cut into pieces of {cut}");
    }
    whole
}

fn pieces(store: &Store, part: usize, stream: &[u8]) -> Vec<String> {
    let limits = RequestLimits::default();
    let mut intake = Intake::new(Source::Primary, MOST);
    let (mut found, mut consumed) = (Vec::new(), 0);
    for part in stream.chunks(part.max(1)) {
        intake.push(part);
        loop {
            match intake.look(&limits, store) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    found.push(error.to_string());
                    return found;
                }
            }
            found.extend(intake.pieces().iter().map(|piece| shown(&intake, piece)));
            consumed += intake.bytes().len();
            intake.consume();
        }
    }
    assert_eq!(consumed + intake.pending(), stream.len(), "nothing is lost");
    found
}

fn shown(intake: &Intake, piece: &Piece) -> String {
    let (from, to) = match piece {
        Piece::Command(at) => (*at, at.saturating_add(1)),
        Piece::Transaction(places) => (places.start, places.end),
    };
    let requests = (from..to).filter_map(|at| intake.request(at));
    let words = requests.map(|(_, args)| args.to_vecs());
    format!("{:?}", words.collect::<Vec<_>>())
}
